"""Fixtures of unit tests."""

from pathlib import Path

import pytest

from shared.privacy import Keyring, keyfile


@pytest.fixture(scope="module")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    """The keys of a new file, which nothing changes."""
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    keyfile.create(path)
    return Keyring.load(path)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """A new key file, to be changed."""
    keyfile.create(tmp_path / "keys.json")
    return tmp_path / "keys.json"
