"""Starts a program as `nobody`: PostgreSQL refuses to run as root, for good reasons.

    python unprivileged.py FOLDER PROGRAM [ARGUMENT ...]        (as root, on Linux)

The program must be readable and FOLDER writable for it. Where a folder above them is closed to others (a checkout
under /root), changing the rights of folders that are not ours is out of the question and copying binaries about would
only move the problem to the data. The program then keeps one right of root, CAP_DAC_OVERRIDE (pass closed folders),
and loses all others. It needs nothing but the standard library and is run as a file, before anything else is loaded.
"""

import ctypes
import os
import pwd
import sys

_PR_SET_KEEPCAPS, _PR_SET_SECUREBITS = 8, 28
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 47, 2
_NO_SETUID_FIXUP = 1 << 2
_CAP_DAC_OVERRIDE, _CAP_SETPCAP = 1, 8
_CAPABILITY_VERSION_3 = 0x20080522


def nobody() -> tuple[int, int]:
    """User and group id to run as."""
    entry = pwd.getpwnam("nobody")
    return entry.pw_uid, entry.pw_gid


def reaches(folder: str, program: str) -> bool:
    """Whether this process, without any capability, can write the folder and run the program."""
    return os.access(folder, os.R_OK | os.W_OK | os.X_OK) and os.access(program, os.R_OK | os.X_OK)


def keep_dac_override() -> None:
    """Leaves CAP_DAC_OVERRIDE, and nothing else, to the program that is started next. Raises OSError.

    initdb and pg_ctl ask access(2) whether they can run their neighbours, which by default answers as if the process
    had no capabilities at all; the secure bit makes it answer what is true.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    _capabilities(libc, _CAP_DAC_OVERRIDE, _CAP_SETPCAP)
    _check(libc.prctl(_PR_SET_SECUREBITS, _NO_SETUID_FIXUP, 0, 0, 0))
    _capabilities(libc, _CAP_DAC_OVERRIDE)
    _check(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0))


def _capabilities(libc: ctypes.CDLL, *numbers: int) -> None:
    """Makes these, all below 32, the effective, permitted and inheritable capabilities of this process."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    mask = sum(1 << number for number in numbers)
    _check(libc.capset(header, (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)))


def become_nobody() -> None:
    """Drops root for this process, whose capabilities stay permitted until it starts a program. Raises OSError."""
    _check(ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0))
    uid, gid = nobody()
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def main(folder: str, program: str, *arguments: str) -> None:
    try:
        become_nobody()
        if not reaches(folder, program):
            keep_dac_override()
    except OSError as error:
        sys.exit(f"cannot become nobody with access to {folder} and {program}: {error}; start Salur as another user")
    os.execv(program, (program, *arguments))  # noqa: S606 - no shell wanted


if __name__ == "__main__":
    main(*sys.argv[1:])
