"""Whoever follows docs/how-to/audit-with-a-checkpoint.md, in another language and Kafka client, finds what is wrong."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from salur.inside.audit import checkpoint as checkpoints
from salur.inside.audit.heads import make
from salur.inside.audit.signing import SigningKey, raw
from tests.integration.audited import Sent, World, once

SCRIPT = Path(__file__).parents[2] / "docs" / "how-to" / "verify-a-topic.mjs"
KAFKAJS = "kafkajs@2.2.4"
REGISTERED, REJECTED = "recipient.registered", "registration.rejected"
COUNT = 60
KEY = SigningKey(Ed25519PrivateKey.generate())


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script beside its one library, as the page says to install it."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        pytest.skip("node and npm are not installed: the script cannot be tried")
    folder = tmp_path_factory.mktemp("verify-a-topic")
    assert f"npm install {KAFKAJS}" in SCRIPT.read_text(encoding="utf-8")
    (folder / "package.json").write_text('{"private": true}')
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", KAFKAJS]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=200)
    return Path(shutil.copy(SCRIPT, folder))


@pytest.fixture
async def world(kafka: str, database: str, tmp_path: Path) -> AsyncIterator[World]:
    made = await World.open(kafka, database, tmp_path)
    yield made
    await made.close()


async def checkpoint(world: World, file: Path) -> Path:
    checkpoints.write(await make(world.inside, KEY), file)
    return file


async def node(
    script: Path, world: World, *files: Path, topic: str = REGISTERED, key: SigningKey = KEY
) -> tuple[int, str]:
    command = ["node", script.name, world.settings.kafka, raw(key.public), topic, *map(str, files)]
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=script.parent, capture_output=True, text=True, timeout=100
    )
    return done.returncode, done.stdout + done.stderr


async def test_what_is_right_passes(world: World, script: Path, tmp_path: Path) -> None:
    """With faithful re-publications, a second checkpoint, events after it, and a topic that holds nothing."""
    await world.register(COUNT)
    first = await checkpoint(world, tmp_path / "first.json")
    await world.publish_falsified("registry", once(lambda sent: [*sent, *sent[:2]], REGISTERED))
    await world.register(COUNT, start=COUNT)
    second = await checkpoint(world, tmp_path / "second.json")
    await world.register(10, start=2 * COUNT)
    await world.publish("registry")
    code, said = await node(script, world, first, second)
    assert (code, said.splitlines()[-1]) == (0, "OK"), said
    assert "2 re-published" in said
    assert sum(int(line.split()[1]) for line in said.splitlines() if line.startswith(REGISTERED)) == 2 * COUNT + 10
    assert (await node(script, world, first, topic=REJECTED))[0] == 0


def _changed(sent: Sequence[Sent]) -> list[Sent]:
    value = sent[1].value.replace(b'"7604031005"', b'"7604031006"')
    assert value != sent[1].value
    return [sent[0], sent[1]._replace(value=value), *sent[2:]]


async def test_what_was_falsified_is_named(world: World, script: Path, tmp_path: Path) -> None:
    """Each partition in another way; the others are right."""
    changes = [
        (_changed, "WRONG at sequence among 0 to"),
        (lambda sent: [*sent[:1], *sent[2:]], "WRONG at sequence 1 (it is missing, 2 follows)"),
        (lambda sent: sent[:2], "WRONG at sequence 2 (it is missing: a checkpoint holds up to"),
        (lambda sent: [sent[1]._replace(sequence=0), sent[0]._replace(sequence=1), *sent[2:]], "among 0 to"),
    ]
    await world.register(3 * COUNT)  # several for each partition
    file = await checkpoint(world, tmp_path / "checkpoint.json")
    ways = iter(changes)
    await world.publish_falsified("registry", lambda _, sent: next(ways, (lambda same: same, ""))[0](sent))
    code, said = await node(script, world, file)
    assert code == 1
    lines = {line.split(":")[0]: line for line in said.splitlines() if line.startswith(REGISTERED)}
    assert sum("WRONG" in line for line in lines.values()) == len(changes), said
    for partition, (_, expected) in enumerate(changes):
        assert expected in lines[f"{REGISTERED}/{partition}"]
    assert said.splitlines()[-1].startswith(f"{len(changes)} of 8 partitions")


async def test_a_forged_checkpoint_is_refused(world: World, script: Path, tmp_path: Path) -> None:
    await world.register(COUNT)
    await world.publish("registry")
    file = await checkpoint(world, tmp_path / "checkpoint.json")
    assert (await node(script, world, file))[0] == 0
    code, said = await node(script, world, file, key=SigningKey(Ed25519PrivateKey.generate()))
    assert (code, "was not signed with this key" in said) == (1, True)
    file.write_bytes(file.read_bytes().replace(b'"digest":"', b'"digest":"0', 1))
    assert (await node(script, world, file))[0] == 1
