"""The same for the stock worker, which imports it in every fork: so without imports of its own."""


def noop() -> None:
    """Do nothing."""
