"""Messages on a pipe arrive whole, however they are cut."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from jobresults.worker.frames import FrameBuffer, frame, read_frame

messages = st.lists(st.binary(max_size=50), max_size=10)


@given(messages, st.integers(1, 20))
def test_pieces_of_any_size_make_the_same_messages(sent: list[bytes], size: int) -> None:
    stream = b"".join(frame(message[:3], message[3:]) for message in sent)
    buffer = FrameBuffer()
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert [message for piece in pieces for message in buffer.feed(piece)] == sent


@given(st.binary(max_size=50), st.integers(1, 50))
def test_a_torn_message_is_never_told(message: bytes, missing: int) -> None:
    torn = frame(message)[:-missing]
    assert list(FrameBuffer().feed(torn)) == []
    assert read_frame(io.BytesIO(torn)) is None


@given(messages)
def test_a_reader_gets_one_message_after_the_other(sent: list[bytes]) -> None:
    stream = io.BytesIO(b"".join(map(frame, sent)))
    assert [read_frame(stream) for _ in sent] == sent
    assert read_frame(stream) is None
