"""How an audit tells where it is."""

from typing import Protocol


class Progress(Protocol):
    """Is told of one part after the other."""

    def begin(self, what: str, total: int) -> None:
        """A new part, of `total` messages or keys; 0 where nobody knows."""

    def advance(self, count: int) -> None:
        """So many more are done."""


class Silent:
    """Tells nothing."""

    def begin(self, what: str, total: int) -> None:
        pass

    def advance(self, count: int) -> None:
        pass
