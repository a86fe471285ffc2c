"""One event loop for a caller that is not asynchronous itself."""

import asyncio
import functools


@functools.cache
def _loop():
    return asyncio.new_event_loop()


def run(coroutine):
    return _loop().run_until_complete(coroutine)


def in_batches(make, count, size=100):
    """The values of `count` coroutines, some at a time."""

    async def all_of_them():
        values = []
        for start in range(0, count, size):
            values += await asyncio.gather(*(make() for _ in range(min(size, count - start))))
        return values

    return run(all_of_them())
