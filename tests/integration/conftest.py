"""Fixtures of tests on real servers."""

from pathlib import Path

import pytest

from shared.privacy import keyfile


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A new key file."""
    path = tmp_path / "keys.json"
    keyfile.create(path)
    return path
