"""The files of a population: written as a stream, hashed on the way, in place only when all are whole."""

import csv
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import orjson

_BUFFER_BYTES: Final = 256 * 1024


class Output:
    """One file that is being written under a temporary name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.part = path.with_name(path.name + ".part")
        self.rows = 0
        self.bytes = 0
        self._file = self.part.open("wb", buffering=_BUFFER_BYTES)
        self._sha256 = hashlib.sha256()

    def write(self, text: str) -> None:
        """Text as UTF-8; what `csv.writer` calls."""
        self.write_bytes(text.encode())

    def write_bytes(self, data: bytes) -> None:
        self._file.write(data)
        self._sha256.update(data)
        self.bytes += len(data)

    def close(self) -> None:
        self._file.close()

    def summary(self) -> dict[str, int | str]:
        """Data rows or lines, bytes and SHA-256 of what was written so far."""
        return {"rows": self.rows, "bytes": self.bytes, "sha256": self._sha256.hexdigest()}


class CsvOutput(Output):
    """A CSV file with a header: UTF-8, comma, quotes where needed, lines end with LF."""

    def __init__(self, path: Path, columns: tuple[str, ...]) -> None:
        super().__init__(path)
        self._writer = csv.writer(self, lineterminator="\n")
        self._writer.writerow(columns)

    def row(self, values: tuple[str | int, ...]) -> None:
        self._writer.writerow(values)
        self.rows += 1


class JsonLinesOutput(Output):
    """JSON lines; keys stand in the order of the dictionaries given."""

    def line(self, value: dict[str, Any]) -> None:
        self.write_bytes(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE))
        self.rows += 1


@contextmanager
def all_or_nothing(*outputs: Output) -> Iterator[None]:
    """Put the files in place when the block ends well; leave none of them, not even in part, when it does not."""
    try:
        yield
        for output in outputs:
            output.close()
        for output in outputs:
            output.part.replace(output.path)
    finally:
        for output in outputs:
            output.close()
            output.part.unlink(missing_ok=True)
