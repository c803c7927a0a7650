"""Reads a CSV file as a stream of numbered rows."""

import csv
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, TextIO

from salur.intake.kinds import Kind
from shared.errors import SalurError

_NAME: Final = re.compile(r"[a-z_]{1,30}").fullmatch


class FileInvalid(SalurError):
    """The file as a whole cannot be taken: it cannot be read, is no UTF-8, or its header is wrong."""


class Row(NamedTuple):
    """One row as it stands: `number` counts data rows from 1, `line` is where it ends in the file."""

    number: int
    line: int
    cells: list[str] | None
    """None: not in the form of CSV at all"""


class _Lines:
    """The lines of a file, of which those of the row at hand can be read once more."""

    def __init__(self, file: TextIO) -> None:
        self.number = 0
        """Of the line that was read last, from 1."""
        self._file = file
        self._again: deque[str] = deque()
        self._row: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._file)
        self._row.append(line)
        self.number += 1
        return line

    def begin(self) -> None:
        """The next line begins a row."""
        self._row.clear()

    @property
    def taken(self) -> int:
        """How many lines the row at hand has."""
        return len(self._row)

    def give_back_all_but_first(self) -> None:
        self.number -= len(self._row) - 1
        self._again.extendleft(reversed(self._row[1:]))
        del self._row[1:]


class Table:
    """An open CSV file: UTF-8 with or without a byte order mark, comma or semicolon, one header."""

    def __init__(self, path: Path, kind: Kind) -> None:
        """Raises FileInvalid, which names file and column."""
        self.path = path
        try:
            self.bytes = path.stat().st_size
            self._file: TextIO = path.open(encoding="utf-8-sig", newline="")
            first = self._file.readline()
            self._file.seek(0)
        except (OSError, UnicodeDecodeError) as error:
            raise self._unreadable(error) from None
        delimiter = ";" if first.count(";") > first.count(",") else ","
        self._lines = _Lines(self._file)
        self._reader = csv.reader(self._lines, delimiter=delimiter, strict=True)
        try:
            self.columns = self._header(kind)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._file.close()

    @property
    def bytes_read(self) -> int:
        """About how far the file is read, for progress."""
        return min(self.bytes, self._file.buffer.tell()) if not self._file.closed else self.bytes

    def rows(self) -> Iterator[Row]:
        """All rows in order; empty lines are left out and not counted. Raises FileInvalid where it is no UTF-8.

        A quotation mark that is never closed swallows the lines that follow, and there is no row in what comes of it:
        only its first line is given up, and the next one is read anew.
        """
        number = 0
        while True:
            self._lines.begin()
            try:
                cells = next(self._reader)
            except StopIteration:
                return
            except csv.Error:
                cells = None
            except (OSError, UnicodeDecodeError) as error:
                raise self._unreadable(error) from None
            if cells == []:
                continue
            number += 1
            if self._lines.taken > 1 and (cells is None or len(cells) != len(self.columns)):
                cells = None
                self._lines.give_back_all_but_first()
            yield Row(number, self._lines.number, cells)

    def _header(self, kind: Kind) -> tuple[str, ...]:
        try:
            header = next(self._reader, None)
        except (csv.Error, UnicodeDecodeError) as error:
            raise self._unreadable(error) from None
        if not header:
            raise FileInvalid(f"{self.path}: the file is empty", hint="the first line names the columns")
        columns = tuple(name.strip().lower() for name in header)
        known = (*kind.required, *kind.optional)
        hint = f"columns: {', '.join(kind.required)}; if wanted: {', '.join(kind.optional)}"
        if not any(name in known for name in columns):
            raise FileInvalid(f"{self.path}: the first line is not a header", hint=hint)
        shown = [_shown(name, number) for number, name in enumerate(columns, 1)]
        problems = [
            (
                "has columns that are not known",
                [s for s, name in zip(shown, columns, strict=True) if name not in known],
            ),
            ("has columns twice", sorted({name for name in columns if name in known and columns.count(name) > 1})),
            ("lacks columns", [name for name in kind.required if name not in columns]),
        ]
        if told := [f"{what}: {', '.join(names)}" for what, names in problems if names]:
            raise FileInvalid(
                f"{self.path}: the header " + "; ".join(told),
                hint=hint,
            )
        return columns

    def _unreadable(self, error: Exception) -> FileInvalid:
        if isinstance(error, UnicodeDecodeError):
            return FileInvalid(f"{self.path}: the file is not UTF-8", hint="save it as `CSV UTF-8`")
        reason = error.strerror if isinstance(error, OSError) else "its header is not in the form of CSV"
        return FileInvalid(f"{self.path}: the file cannot be read: {reason}")


def _shown(name: str, number: int) -> str:
    """A name that looks like one; else by its place: a first line that is no header holds a person."""
    return name if _NAME(name) else f"column {number}"
