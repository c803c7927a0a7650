"""`salur portal`: rebuild what the portal shows from the topics, and publish open figures."""

import asyncio
from pathlib import Path
from typing import Annotated, Final

import asyncpg
import typer
from aiokafka import TopicPartition
from rich.console import Console
from rich.progress import Progress

from salur.commands.audit import signing_key
from salur.console import print_json, say
from salur.inside import figures
from salur.inside.audit import checkpoint as checkpoints
from salur.inside.connect import resolve
from salur.inside.options import HomeOption, JsonOption, run
from salur.inside.recovering import environment_of
from services.portal.handler import INPUTS
from services.portal.rebuild import rebuild
from services.portal.settings import PortalSettings
from shared import clock
from shared.kafka import ensure_topics, in_time
from shared.reading import consumer
from shared.words import WITA

_LOOK_S: Final = 0.5

app = typer.Typer(no_args_is_help=True, help="What the portal shows: rebuild it, publish open figures.")


def register(parent: typer.Typer) -> None:
    """Adds the commands."""
    parent.add_typer(app, name="portal")


@app.command("rebuild")
def rebuild_command(
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Show how it is read anew, until it is.")] = True,
    home: HomeOption = None,
) -> None:
    """Empty what the portal shows and read it anew from the topics. Pages stay up, and show what is read by then.

    Codes, sessions, the record of officers' acts and published figures stay as they are. The stages notice nothing.
    """
    settings = PortalSettings.of(environment_of("portal", home))
    run(rebuild(settings))
    say("The read model is empty; the portal reads every topic from its start.")
    if wait:
        run(_until_read(settings))
        say("Everything is read.")


async def _until_read(settings: PortalSettings) -> None:
    """By the portal's own positions: what Kafka's group has committed is of before the rebuild for a while."""
    partitions = await ensure_topics(settings, INPUTS)
    places = [TopicPartition(topic, number) for topic in INPUTS for number in range(partitions)]
    async with consumer(settings) as client:
        with Progress(console=Console(stderr=True)) as progress:
            task, most = progress.add_task("messages to read", total=None), 0
            while True:
                ends = await in_time(client.end_offsets(places))
                reached = await _reached(settings)
                left = sum(max(0, ends[place] - reached.get((place.topic, place.partition), 0)) for place in places)
                most = max(most, left)
                progress.update(task, total=most or None, completed=most - left)
                if left == 0:
                    return
                await asyncio.sleep(_LOOK_S)


async def _reached(settings: PortalSettings) -> dict[tuple[str, int], int]:
    connection = await asyncpg.connect(settings.url("portal"), server_settings={"search_path": "portal"})
    try:
        rows = await connection.fetch("SELECT topic, partition, next_offset FROM input_position")
        return {(row["topic"], row["partition"]): row["next_offset"] for row in rows}
    finally:
        await connection.close()


@app.command("figures")
def figures_command(
    out: Annotated[Path | None, typer.Option("--out", dir_okay=False, help="Where the checkpoint is written.")] = None,
    after: Annotated[
        Path | None, typer.Option("--after", dir_okay=False, help="The checkpoint before, which this one follows on.")
    ] = None,
    key: Annotated[Path | None, typer.Option("--key", help="The key that signs checkpoints.", dir_okay=False)] = None,
    instead: Annotated[
        bool, typer.Option("--instead", help="Take an edition of the last days back for this one.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Publish today's open figures, computed at an audit checkpoint that is made first."""
    settings = PortalSettings.of(environment_of("portal", home))
    signing = signing_key(key, home)
    previous = checkpoints.read(after, signing.public) if after else None
    at = clock.now()
    path = out or figures.checkpoint_path(home, at)
    made = run(figures.publish_now(settings, resolve(home), signing, path, at, previous=previous, instead=instead))
    told = {"edition": str(at.astimezone(WITA).date()), "checkpoint": str(path), "sha256": made.sha256}
    if as_json:
        print_json(told)
    else:
        say(f"The figures of {told['edition']} are published, computed at {path} (SHA-256 {made.sha256}).")
