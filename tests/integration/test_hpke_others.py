"""Whoever follows docs/how-to/seal-a-submission.md, in another language and library, is understood.

The examples are taken out of that page and run as they stand.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from shared.errors import CannotOpen
from shared.events import codec
from shared.events.registrations import RegistrationSubmitted
from shared.privacy import Keyring, keyfile, open_submission
from shared.privacy.hpke import WELL_KNOWN_PATH
from tests.slow import takes_minutes

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "seal-a-submission.md"
SOURCE, EVENT_ID = "dinsos-polman", "2026-000123"
SUBMISSION = json.dumps(
    {"nik": "7604011203870001", "name": "Sitti Aminah", "note": "ñ – 😀"}, ensure_ascii=False
).encode()
HPKE_CORE = "@hpke/core@1.9.0"


def _example(language: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(found) == 1, f"{len(found)} examples in {language}"
    return str(found[0])


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    """The registry's keys; the public document lies beside them as the examples expect it."""
    keyfile.create(tmp_path / "registry" / "keys.json")
    keyring = Keyring.load(tmp_path / "registry" / "keys.json", only={"submission"})
    (tmp_path / "keys.json").write_text(keyring.public_keys().model_dump_json())
    (tmp_path / "submission.json").write_bytes(SUBMISSION)
    return keyring


def _run(command: list[str], folder: Path, **environment: str) -> bytes:
    done = subprocess.run(
        command, cwd=folder, input=SUBMISSION, capture_output=True, timeout=200, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def _assert_understood(keyring: Keyring, raw: bytes) -> None:
    event = codec.decode(RegistrationSubmitted, raw)
    assert (event.source, event.id, event.subject) == (SOURCE, EVENT_ID, EVENT_ID)
    sealed = event.data.sealed
    plaintext = open_submission(keyring, sealed, source=event.source, event_id=event.id)
    assert json.loads(plaintext) == json.loads(SUBMISSION)
    assert len(plaintext) % 512 == 0
    with pytest.raises(CannotOpen):
        open_submission(keyring, sealed, source=event.source, event_id=event.id + "x")


def test_node(keyring: Keyring, tmp_path: Path) -> None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        pytest.skip("node and npm are not installed: @hpke/core cannot be tried")
    (tmp_path / "package.json").write_text('{"private": true}')
    _run([npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", HPKE_CORE], tmp_path)
    (tmp_path / "seal.mjs").write_text(_example("js"), encoding="utf-8")
    _assert_understood(keyring, _run([node, "seal.mjs", "keys.json", SOURCE, EVENT_ID], tmp_path))


@takes_minutes  # most of one, to compile
def test_go(keyring: Keyring, tmp_path: Path) -> None:
    go = shutil.which("go")
    if not go:
        pytest.skip("go is not installed: crypto/hpke cannot be tried")
    version = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=True).stdout
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < (1, 26):
        pytest.skip(f"{version.strip()} has no crypto/hpke, which came with go1.26")
    (tmp_path / "seal.go").write_text(_example("go"), encoding="utf-8")
    _assert_understood(keyring, _run([go, "run", "seal.go", "keys.json", SOURCE, EVENT_ID], tmp_path))


def test_python_without_salur(keyring: Keyring, tmp_path: Path) -> None:
    (tmp_path / "seal.py").write_text(_example("python"), encoding="utf-8")
    _assert_understood(keyring, _run([sys.executable, "-I", "seal.py", "keys.json", SOURCE, EVENT_ID], tmp_path))


class _Registry(BaseHTTPRequestHandler):
    def __init__(self, document: bytes, *args: object) -> None:
        self.document = document
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self.send_response(200 if self.path == WELL_KNOWN_PATH else 404)
        self.end_headers()
        self.wfile.write(self.document if self.path == WELL_KNOWN_PATH else b"")

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def registry_url(keyring: Keyring) -> Iterator[str]:
    document = keyring.public_keys().model_dump_json().encode()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Registry, document))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_shell(keyring: Keyring, tmp_path: Path, registry_url: str) -> None:
    salur = tmp_path / "bin" / "salur"
    salur.parent.mkdir()
    program = (
        "import typer; from salur.commands import keys, seal; "
        "app = typer.Typer(); keys.register(app); seal.register(app); app()"
    )
    salur.write_text(f"#!/bin/sh\nexec '{sys.executable}' -c '{program}' \"$@\"\n")
    salur.chmod(0o755)
    path = f"{salur.parent}{os.pathsep}{os.environ['PATH']}"
    _run(["sh", "-c", _example("sh")], tmp_path, REGISTRY=registry_url, PATH=path, PYTHONPATH=str(ROOT))
    _assert_understood(keyring, (tmp_path / "event.json").read_bytes())
