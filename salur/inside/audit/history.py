"""The digest after each event of one partition, in a temporary file."""

import os
import tempfile

DIGEST_BYTES = 32
_BUFFERED_BYTES = 256 * 1024


class History:
    """With the digest before, each tells what its event looked like: memory stays flat, 32 bytes an event on disk.

    Begins at `base`, the sequence of the first event, with the digest before it.
    """

    def __init__(self, base: int = 0, digest: bytes = b"") -> None:
        self.waiting = bytearray()
        """Digests are added here, in order; `settle` now and then writes them away."""
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - lives as long as its chain
        self._base = base
        self._before = digest

    def settle(self) -> None:
        if len(self.waiting) >= _BUFFERED_BYTES:
            self._flush()

    def after(self, sequence: int) -> bytes:
        """The digest after this event, which is at or above `base` - 1."""
        if sequence < self._base:
            return self._before
        self._flush()
        return os.pread(self._file.fileno(), DIGEST_BYTES, (sequence - self._base) * DIGEST_BYTES)

    def close(self) -> None:
        self._file.close()

    def _flush(self) -> None:
        if self.waiting:
            self._file.write(self.waiting)
            self.waiting.clear()
