"""Reads a CSV file as a stream of numbered rows."""

import csv
import re
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
        self._reader = csv.reader(self._file, delimiter=delimiter, strict=True)
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
        """All rows in order; empty lines are left out and not counted. Raises FileInvalid where it is no UTF-8."""
        number = 0
        while True:
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
            yield Row(number, self._reader.line_num, cells)

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
