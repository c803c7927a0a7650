"""What one recipient costs the eligibility stage: `python -m bench.eligibility [RECIPIENTS]` on a temporary PostgreSQL.

Registered recipients (four members, 2% with a second applicant on the card, a phone, an account) go through the real
turn, handler and outbox in batches of 2,000, then half of them again with an update and a flag. Prints CPU µs per
event of this process and of PostgreSQL. SALUR_POSTGRES takes a given database instead.
"""

import gc
import json
import os
import random
import secrets
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import uvloop

from salur.stack.postgres import EmbeddedPostgres
from services.eligibility.service import INPUTS, build
from services.eligibility.settings import EligibilitySettings
from shared.events import Event, RecipientFlagged, RecipientRegistered, SubmissionRef
from shared.events.codec import encode
from shared.events.envelope import caused_by, first_cause
from shared.events.model import Data
from shared.partition import partition_of
from shared.postgres import migrate, open_pool
from shared.privacy import Keyring, keyfile
from shared.runtime import positions
from shared.runtime.emit import Outbox
from shared.runtime.positions import Place
from shared.runtime.stage import Message
from shared.runtime.turn import Turn
from tests.stack import drop_database, fresh_database

BATCH = 2_000
PARTITIONS = 8
AT = datetime(2026, 11, 16, 3, tzinfo=UTC)


def registered(keyring: Keyring, recipient: str, family: str, revision: int, draw: random.Random) -> Event[Data]:
    def member(age: int, **more: object) -> dict[str, object]:
        born = date(2026, 6, 1) - timedelta(days=age * 365 + draw.randrange(365))
        return {"birth_date": born.isoformat(), "sex": draw.choice("LP"), **more}

    age = draw.randrange(25, 70)
    members = [member(age), member(age - 3), member(draw.randrange(7, 13), school="sd"), member(draw.randrange(0, 8))]
    facts = {**members[0], "role": draw.choice(["head", "spouse"]), "income_idr": 900_000, "members": members}
    account = {"bank": "002", "number": "123456789012345", "holder": "Siti Aminah"}
    contact = {"name": "Siti Aminah", "phone": "+6281234567890", "language": "id"}

    def seal(purpose: str, what: object) -> object:
        return keyring.seal(purpose, json.dumps(what).encode(), recipient=recipient, schema=f"{purpose}/1")  # type: ignore[arg-type]

    data = RecipientRegistered(
        revision=revision,
        change="new" if revision == 1 else "updated",
        submission=SubmissionRef(source="polman", id=f"s-{recipient[2:12]}-{revision}", submitted_at=AT),
        registered_at=AT,
        family_id=family,
        village="7604012002",
        decile=draw.randrange(1, 11),
        eligibility=seal("eligibility", facts),
        payment=seal("payment", account),
        contact=seal("contact", contact),
    )
    return caused_by(first_cause(f"{recipient}-{revision}", "polman"), "registry", data, subject=recipient, time=AT)


def flagged(keyring: Keyring, recipient: str) -> Event[Data]:
    flags = keyring.seal("eligibility", b'["car_owner"]', recipient=recipient, schema="flags/1")
    ref = SubmissionRef(source="bkn", id=f"f-{recipient[2:12]}", submitted_at=AT)
    data = RecipientFlagged(revision=1, submission=ref, flags=flags)
    return caused_by(first_cause(f"flag-{recipient}", "bkn"), "registry", data, subject=recipient, time=AT)


class Feed:
    """Messages as Kafka would hand them in."""

    def __init__(self) -> None:
        self.next: dict[Place, int] = {}

    def messages(self, events: list[Event[Data]]) -> list[Message]:
        made = []
        for event in events:
            key = event.subject.encode()
            place = Place(event.type, partition_of(key, PARTITIONS))
            offset = self.next.get(place, 0)
            self.next[place] = offset + 1
            made.append(Message(*place, offset, offset, key, encode(event), 0))
        return made


class Cost:
    """CPU seconds of this process and of the PostgreSQL server it talks to."""

    def __init__(self, backend_pid: int) -> None:
        self._server = psutil.Process(backend_pid).parent()

    def both_s(self) -> tuple[float, float]:
        assert self._server
        times = [process.cpu_times() for process in (self._server, *self._server.children())]
        return time.process_time(), sum(t.user + t.system for t in times)


async def measure(name: str, turn: Turn, messages: list[Message], cost: Cost) -> None:
    """The best batch stands beside the mean: it tells what the code costs when nothing else has the machine."""
    wall, (ours, theirs) = time.perf_counter(), cost.both_s()
    batches = []
    for start in range(0, len(messages), BATCH):
        batch, before = messages[start : start + BATCH], time.process_time()
        await turn.handle(batch)
        batches.append((time.process_time() - before) / len(batch))
    events = len(messages) / 1e6
    ours_after, theirs_after = cost.both_s()
    print(
        f"{name:<22} {(ours_after - ours) / events:6.1f} µs Python (best batch {min(batches) * 1e6:.1f}), "
        f"{(theirs_after - theirs) / events:6.1f} µs PostgreSQL, {(time.perf_counter() - wall) / events:6.1f} µs wall"
    )


async def measure_all(url: str, keyring: Keyring, recipients: int) -> None:
    draw = random.Random(7)
    await migrate(url, "eligibility")
    pool = await open_pool(url, "eligibility", transaction_timeout_ms=60_000)
    outbox = Outbox("eligibility", pool, PARTITIONS)
    service = await build(outbox, keyring, EligibilitySettings())
    turn = Turn(service.stage, outbox, keyring)
    places = {Place(topic, p): 0 for topic in INPUTS for p in range(PARTITIONS)}
    turn.positions.update(await positions.read(pool, places))
    ids = [f"r-{secrets.token_hex(16)}" for _ in range(recipients)]
    families = [f"f-{secrets.token_hex(16)}" for _ in range(int(recipients * 0.98))]
    families += families[: recipients - len(families)]
    feed = Feed()
    new = [registered(keyring, r, f, 1, draw) for r, f in zip(ids, families, strict=True)]
    draw.shuffle(new)
    updated = [registered(keyring, r, f, 2, draw) for r, f in list(zip(ids, families, strict=True))[: recipients // 2]]
    flags = [flagged(keyring, r) for r in ids[: recipients // 2]]
    batches = [feed.messages(events) for events in (new, updated, flags)]
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)
    cost = Cost(await pool.fetchval("SELECT pg_backend_pid()"))
    for name, messages in zip(("new registrations", "updated registrations", "flags"), batches, strict=True):
        await measure(name, turn, messages, cost)
    for table in ("recipient", "decision", "family_payee", "family"):
        print(f"{table:<14} {await pool.fetchval(f'SELECT count(*) FROM {table}'):>8}")
    await pool.close()


async def main(recipients: int) -> None:
    with TemporaryDirectory(prefix="salur-bench-") as folder:
        path = Path(folder) / "keys.json"
        keyfile.create(path)
        server = None if "SALUR_POSTGRES" in os.environ else EmbeddedPostgres(Path(folder) / "home")
        try:
            database = await fresh_database(str(server.start()) if server else os.environ["SALUR_POSTGRES"])
            try:
                await measure_all(database, Keyring.load(path), recipients)
            finally:
                await drop_database(database)
        finally:
            if server:
                server.stop()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000))
