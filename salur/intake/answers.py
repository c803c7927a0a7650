"""Which answer each row got, in 40 bytes a row."""

import re
from array import array
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson

from salur.intake.kinds import Kind, field_to_column
from salur.intake.sealing import MAC_BYTES

_ID_BYTES: Final = 16


class Outcome(NamedTuple):
    """What became of a row. Rows have few different ones, so each is kept once.

    `problems` are (column, code, sentence in Indonesian, sentence in English).
    """

    answer: str
    detail: str = ""
    problems: tuple[tuple[str, str, str, str], ...] = ()


UNANSWERED: Final = Outcome("unanswered")


class Answers:
    """What is known of the rows of one file."""

    def __init__(self, kind: Kind, source: str, stem: str) -> None:
        self._kind = kind
        self._source = source
        self._mark = f"{stem}-".encode()
        self._id = re.compile(rf"{re.escape(stem)}-([0-9]{{1,12}})-([0-9a-f]{{{2 * MAC_BYTES}}})").fullmatch
        self._outcomes = [UNANSWERED]
        self._index = {UNANSWERED: 0}
        self._macs = bytearray()
        self._which = array("I")
        self._recipients = bytearray()
        self.counts: Counter[str] = Counter()

    @property
    def rows(self) -> int:
        return len(self._which)

    @property
    def unanswered(self) -> int:
        return self.rows - self.counts.total()

    def expect(self, row: int, mac: bytes) -> None:
        """This row, the next, is going to be sent. Rows come in order, from 1."""
        assert row == self.rows + 1
        self._macs += mac
        self._which.append(0)
        self._recipients += bytes(_ID_BYTES)

    def refuse(self, row: int, outcome: Outcome) -> None:
        """This row, the next, is not sent."""
        self.expect(row, bytes(MAC_BYTES))
        self._settle(row, outcome, bytes(_ID_BYTES))

    def take(self, value: bytes) -> bool:
        """Notes an event if it answers one of these rows; the first answer counts."""
        if self._mark not in value:
            return False
        event = orjson.loads(value)
        data: Mapping[str, Any] = event["data"]
        found = self._id(data["submission"]["id"])
        if not found or data["submission"]["source"] != self._source:
            return False
        row = int(found[1])
        if not 1 <= row <= self.rows or self._which[row - 1] or self.mac(row).hex() != found[2]:
            return False
        subject = event["subject"]
        recipient = bytes.fromhex(subject[2:]) if re.fullmatch("r-[0-9a-f]{32}", subject) else bytes(_ID_BYTES)
        self._settle(row, _outcome(self._kind.answers[event["type"]], data), recipient)
        return True

    def mac(self, row: int) -> bytes:
        return bytes(self._macs[(row - 1) * MAC_BYTES : row * MAC_BYTES])

    def outcome(self, row: int) -> Outcome:
        return self._outcomes[self._which[row - 1]]

    def recipient(self, row: int) -> str:
        raw = bytes(self._recipients[(row - 1) * _ID_BYTES : row * _ID_BYTES])
        return f"r-{raw.hex()}" if any(raw) else ""

    def _settle(self, row: int, outcome: Outcome, recipient: bytes) -> None:
        index = self._index.setdefault(outcome, len(self._outcomes))
        if index == len(self._outcomes):
            self._outcomes.append(outcome)
        self._which[row - 1] = index
        self._recipients[(row - 1) * _ID_BYTES : row * _ID_BYTES] = recipient
        self.counts[outcome.answer] += 1


def _outcome(answer: str, data: Mapping[str, Any]) -> Outcome:
    problems = tuple(
        (field_to_column(p["field"]), p["code"], p["text"]["id"], p["text"]["en"]) for p in data.get("problems", ())
    )
    return Outcome(answer, data.get("change") or data.get("reason") or "", problems)
