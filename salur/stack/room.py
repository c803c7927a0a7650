"""A full disk is said in words: before anything is started, and whenever a file cannot be written."""

import errno
import shutil
from pathlib import Path
from typing import Final

from shared.errors import SalurError

ROOM_BYTES_MIN: Final = 500_000_000
"""A new Kafka, a new PostgreSQL with its write-ahead log, and logs; data comes on top."""


class NoRoom(SalurError):
    """The disk that holds a stack's folder is full, or nearly so."""


def require_room(folder: Path) -> None:
    """Raises NoRoom."""
    free = shutil.disk_usage(folder).free
    if free < ROOM_BYTES_MIN:
        raise NoRoom(
            f"the disk of {folder} has {free / 1e6:,.0f} MB left, and the stack needs {ROOM_BYTES_MIN / 1e6:,.0f} MB",
            hint="make room there, or say with SALUR_HOME where else the stack may be; nothing was started",
        )


def no_room(error: OSError) -> NoRoom | None:
    """What to tell where it was a full disk that a program met."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return None
    where = f" ({error.filename})" if error.filename else ""
    return NoRoom(
        f"no space is left on the disk{where}",
        hint="make room where SALUR_HOME is and repeat the command: what was committed is safe, and what runs goes on",
    )
