"""What was planted: the truth beside a generated population (docs/reference/population.md), and its rows."""

import csv
import hmac
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from salur.intake.sealing import MAC_BYTES
from salur.intake.submit import stem_of
from salur.report.places import NoTruth

REGISTRATIONS: Final = "registrations.csv"


class Flagged(NamedTuple):
    """A person on whom flags were planted, by their NIK. `defects`: the flags that stand, or `flag_withdrawn`."""

    nik: str
    person: str
    defects: tuple[str, ...]
    standing: frozenset[str]


class Row(NamedTuple):
    """One row of registrations.csv with its truth."""

    number: int
    truth: dict[str, Any]
    cells: dict[str, str]
    keys: list[bytes]
    """tokens that are known, shared by all rows: the one that fitted last stands first"""

    @property
    def prefix(self) -> str:
        """What the row's submission id begins with, whoever sent it."""
        return f"{_STEM}-{self.number}-"

    def has_id(self, submission_id: str) -> bool:
        """Whether `salur register` sends this row under this id; where no token is known, anybody's row of this number
        will do."""
        mac = submission_id.removeprefix(self.prefix)
        content = orjson.dumps(["registration", self.cells])
        for place, key in enumerate(self.keys):
            if hmac.digest(key, content, "sha256")[:MAC_BYTES].hex() == mac:
                self.keys.insert(0, self.keys.pop(place))
                return True
        return not self.keys


_STEM: Final = stem_of(Path(REGISTRATIONS))


def about(folder: Path) -> dict[str, Any]:
    """population.json; empty where it is missing."""
    path = folder / "population.json"
    return dict(orjson.loads(path.read_bytes())) if path.exists() else {}


def flagged(folder: Path) -> Iterator[Flagged]:
    """Raises NoTruth for a file that is none."""
    for line in _truth(folder, "flags"):
        yield Flagged(line["nik"], line["person"], tuple(line["defects"]), frozenset(line["standing"]))


def rows(folder: Path, tokens: Sequence[str]) -> Iterator[Row]:
    """All rows in order; `tokens` are those of sources that may have sent them. Raises NoTruth."""
    keys = [token.encode() for token in tokens]
    truth = _truth(folder, "submission")
    with (folder / REGISTRATIONS).open(encoding="utf-8", newline="") as file:
        for number, cells in enumerate(csv.DictReader(file), 1):
            line = next(truth, None)
            if line is None or line["row"] != number:
                raise NoTruth(f"{folder}: truth.jsonl and {REGISTRATIONS} do not belong together (row {number})")
            yield Row(number, line, cells, keys)


def _truth(folder: Path, kind: str) -> Iterator[dict[str, Any]]:
    wanted = f'"{kind}"'.encode()
    with (folder / "truth.jsonl").open("rb") as file:
        for line in file:
            if wanted in line:
                try:
                    found: dict[str, Any] = orjson.loads(line)
                except ValueError:
                    raise NoTruth(f"{folder}/truth.jsonl is not JSON lines") from None
                if found["kind"] == kind:
                    yield found
