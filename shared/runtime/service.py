"""One service process: migrations, topics, stage, publisher, workers and HTTP, until SIGTERM."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import asyncpg
import structlog
from fastapi import APIRouter

from shared.events import topics
from shared.events.topics import outputs_of
from shared.kafka import ensure_topics
from shared.officers import Access, Verifier
from shared.postgres import migrate, open_pool
from shared.privacy.keyring import Keyring
from shared.runtime import garbage, replay_api
from shared.runtime.emit import Outbox
from shared.runtime.http import Lost, create_app, create_public_app, serve
from shared.runtime.loop import Loop
from shared.runtime.patience import patiently
from shared.runtime.presence import Presence, enter
from shared.runtime.process import run_until_told
from shared.runtime.publisher import Publisher
from shared.runtime.stage import Stage
from shared.runtime.tail import refuse_restored_database
from shared.runtime.turn import Turn
from shared.runtime.worker import Worker, keep_working
from shared.settings import ServiceSettings
from shared.telemetry.metrics import BREAKER_OPEN, EVENTS_OUT, TROUBLES

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of one service. `close` is awaited at the end (an HTTP client's session).

    `public` is served at `public_port` and nothing else is; `lost` answers people there who ask for what is not.
    `routers` stand beside metrics and readiness.
    """

    stage: Stage
    workers: tuple[Worker, ...] = ()
    routers: tuple[APIRouter, ...] = ()
    close: Callable[[], Awaitable[None]] | None = None
    public: tuple[APIRouter, ...] = ()
    public_port: int = 0
    lost: Lost | None = None


Build = Callable[[Outbox, Keyring], Awaitable[Service]]


def run(name: topics.Service, settings: ServiceSettings, keyring: Keyring, build: Build) -> None:
    """Runs the service until SIGTERM or SIGINT, then stops gracefully: the turn at hand is finished and published.

    `build` makes the parts once the outbox is there. Exits with 1, and says why in the log, when it may not run: a
    restored database, lost input, topics that differ in partitions.
    """
    garbage.take_over()
    run_until_told(name, settings, lambda stopping: _run(name, settings, keyring, build, stopping))


async def _run(
    name: topics.Service, settings: ServiceSettings, keyring: Keyring, build: Build, stopping: asyncio.Event
) -> None:
    url = settings.url(name)
    await patiently(lambda: migrate(url, name))
    presence = await patiently(lambda: enter(url, name))
    pool = await open_pool(
        url,
        name,
        instance=settings.instance,
        transaction_timeout_ms=settings.transaction_timeout_ms,
        admit=presence.admit,
    )
    outbox = Outbox(name, pool, settings.partitions, settings.event_bytes_max)
    service = await build(outbox, keyring)
    names = (*service.stage.topics, *outputs_of(name))
    _begin_at_zero(name, service)
    outbox.partitions = await patiently(lambda: ensure_topics(settings, names))
    publisher = Publisher(name, pool, settings)
    outbox.committed = publisher.offer

    async def look(database: asyncpg.Pool | asyncpg.Connection) -> None:
        await publisher.forget()
        await refuse_restored_database(settings, database, outputs_of(name), range(outbox.partitions))

    await patiently(lambda: look(pool))
    loop = Loop(Turn(service.stage, outbox, keyring, key_wait_s=settings.key_wait_s), publisher, settings)
    replaying = replay_api.router(name, settings, keyring, Access(Verifier(settings)))
    app = create_app(name, lambda: _problems(loop, presence), (*service.routers, replaying))
    publishing_ends = asyncio.Event()
    log.info("started", partitions=outbox.partitions)
    try:
        async with asyncio.TaskGroup() as tasks:
            publishing = tasks.create_task(publisher.run(publishing_ends))
            working = [tasks.create_task(keep_working(w, name, stopping)) for w in service.workers]
            working.append(tasks.create_task(loop.run(stopping)))
            working.append(tasks.create_task(presence.keep(look, stopping)))
            serving = tasks.create_task(serve(app, settings.http_host, settings.http_port, stopping))
            if service.public:
                public = create_public_app(name, service.public, service.lost)
                working.append(tasks.create_task(serve(public, settings.http_host, service.public_port, stopping)))
            await asyncio.gather(*working, serving)
            publishing_ends.set()
            await publishing
    finally:
        if service.close:
            await service.close()
        pool.terminate()
        presence.terminate()
    log.info("stopped")


def _begin_at_zero(name: topics.Service, service: Service) -> None:
    """Prometheus sees no increase in a counter whose first value is not zero."""
    EVENTS_OUT.announce(name, (model.TYPE for topic in outputs_of(name) if (model := topics.topic_named(topic).model)))
    for where in ("stage", "publish", *(worker.name for worker in service.workers)):
        TROUBLES.labels(name, where)
    BREAKER_OPEN.labels(name).set(0)


def _problems(loop: Loop, presence: Presence) -> list[str]:
    found = [] if loop.ready else ["the stage has no assignment yet"]
    if presence.lost:
        found.append("the database was away: what it holds is to be compared with the topics")
    found += [reason for reason in (loop.trouble, loop.publisher.trouble, loop.breaker_open) if reason]
    found += [f"{place.topic}/{place.partition}: {gap}" for place, gap in loop.stopped.items()]
    found += [f"{place.topic}/{place.partition} waits for key {key_id}" for place, key_id in loop.turn.held.items()]
    return found
