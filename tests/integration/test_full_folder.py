"""A full `.salur/`: the command line says so in words, starts nothing, and shows no traceback."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def full_disk() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="salur-full-disk-"))
    options = ("-t", "tmpfs", "-o", "size=200k,mode=755", "tmpfs", str(folder))
    if os.geteuid() != 0 or subprocess.run(["mount", *options], capture_output=True).returncode:
        folder.rmdir()
        pytest.skip("only root may mount a small file system")
    (folder / "filler").write_bytes(b"x" * 150_000)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
    folder.rmdir()


def salur(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SALUR_HOME": str(home)}
    argv = [sys.executable, "-m", "salur", *arguments]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60)


def test_up_says_that_there_is_no_room_and_starts_nothing(full_disk: Path) -> None:
    done = salur(full_disk / "stack", "up")
    assert done.returncode == 1
    assert "MB left, and the stack needs 500 MB" in done.stderr
    assert "SALUR_HOME" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert not (full_disk / "stack" / "state.json").exists()


def test_a_disk_that_is_full_under_a_stack_is_told_in_words(full_disk: Path) -> None:
    home = full_disk / "stack"
    home.mkdir()
    with pytest.raises(OSError, match="No space left"):
        (full_disk / "more").write_bytes(b"x" * 200_000)
    done = salur(home, "down")
    assert done.returncode == 1
    assert "no space is left on the disk" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
