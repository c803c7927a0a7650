"""Open figures at an audit checkpoint: made first, read up to, and named with the figures."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import asyncpg

from salur.inside.audit import checkpoint as checkpoints
from salur.inside.audit.checkpoint import Checkpoint
from salur.inside.audit.heads import make
from salur.inside.audit.signing import SigningKey
from salur.inside.connect import Settings
from salur.stack.home import Home
from services.portal.figures.publish import publish
from services.portal.handler import INPUTS
from services.portal.settings import PortalSettings
from shared.errors import SalurError
from shared.words import WITA

READ_WITHIN_S: Final = 120.0
_LOOK_S: Final = 0.5


class Behind(SalurError):
    """The portal has not read what the figures are to be computed at."""


class Published(SalurError):
    """The date has its figures already."""


def checkpoint_path(home: Path | None, at: datetime) -> Path:
    """Where the checkpoint of figures is written unless somebody says otherwise."""
    return Home.at(home).root / "checkpoints" / f"checkpoint-{at:%Y%m%dT%H%M%S}Z.json"


async def publish_now(
    portal: PortalSettings,
    settings: Settings,
    key: SigningKey,
    path: Path,
    at: datetime,
    *,
    previous: Checkpoint | None = None,
    instead: bool = False,
) -> Checkpoint:
    """Makes a checkpoint, writes it to `path`, waits until the portal has read up to it, and publishes the figures.

    Raises Behind, Published, TooSoon, and what making a checkpoint raises.
    """
    made = await make(settings, key, previous)
    checkpoints.write(made, path)
    connection = await asyncpg.connect(
        portal.url("portal"), server_settings={"search_path": "portal", "timezone": "UTC"}
    )
    try:
        await _has_read(connection, made)
        known = {"sha256": made.sha256, "made_at": made.made_at, "key": made.key}
        secret = portal.portal_secret.get_secret_value().encode()
        day = at.astimezone(WITA).date()
        if not await publish(connection, portal.figures_area, day, at, secret, checkpoint=known, instead=instead):
            raise Published(
                f"the figures of {day} are published already", hint="--instead takes them back for new ones"
            )
    finally:
        await connection.close()
    return made


async def _has_read(connection: asyncpg.Connection, made: Checkpoint) -> None:
    """Waits until the portal has read everything below the checkpoint's heads. Raises Behind."""
    wanted = {(head.topic, head.partition): head.next_sequence for head in made.heads if head.topic in INPUTS}
    waited = 0.0
    while open_ := await _unread(connection, wanted):
        if waited > READ_WITHIN_S:
            raise Behind(f"the portal is behind on {open_} partitions", hint="does it run? see `salur status`")
        await asyncio.sleep(_LOOK_S)
        waited += _LOOK_S


async def _unread(connection: asyncpg.Connection, wanted: Mapping[tuple[str, int], int]) -> int:
    rows: list[Any] = await connection.fetch("SELECT topic, partition, next_sequence FROM input_position")
    read = {(row["topic"], row["partition"]): row["next_sequence"] for row in rows}
    return sum(1 for place, sequence in wanted.items() if read.get(place, 0) < sequence)
