"""The monitor's parts, put together: Faust counts, workers judge and post, HTTP answers, until SIGTERM."""

import asyncio
from typing import Final

import asyncpg
import structlog

from services.monitor.alone import alone, stays_alone
from services.monitor.api import router
from services.monitor.evaluating import BEHIND_MAX_S, Evaluator
from services.monitor.intake import Reach
from services.monitor.rulebook import rulebook
from services.monitor.settings import MonitorSettings
from services.monitor.watching import WATCHED, Watch, topics_to_make, watch
from services.monitor.webhook import Webhook
from shared.events import AlertCleared, AlertRaised
from shared.events.topics import outputs_of
from shared.kafka import ensure_topics
from shared.postgres import migrate, open_pool
from shared.runtime.emit import Outbox
from shared.runtime.http import create_app, serve
from shared.runtime.patience import patiently
from shared.runtime.presence import enter
from shared.runtime.process import run_until_told
from shared.runtime.publisher import Publisher
from shared.runtime.tail import refuse_restored_database
from shared.runtime.worker import Worker, keep_working
from shared.telemetry.metrics import EVENTS_OUT, TROUBLES

log = structlog.get_logger()

NAME: Final = "monitor"


def run(settings: MonitorSettings) -> None:
    """Until SIGTERM or SIGINT. Exits with 1, and says why, when it may not run or cannot go on: started again, it goes
    on from what Kafka holds."""
    run_until_told(NAME, settings, lambda stopping: _run(settings, stopping))


async def _run(settings: MonitorSettings, stopping: asyncio.Event) -> None:
    url = settings.url(NAME)
    await patiently(lambda: migrate(url, NAME))
    presence = await patiently(lambda: enter(url, NAME))
    mine = await patiently(lambda: alone(url, stopping))
    if mine is None:
        return
    pool = await open_pool(
        url,
        NAME,
        instance=settings.instance,
        transaction_timeout_ms=settings.transaction_timeout_ms,
        admit=presence.admit,
    )
    partitions = await patiently(lambda: ensure_topics(settings, topics_to_make()))
    publisher = Publisher(NAME, pool, settings)

    async def look(database: asyncpg.Pool | asyncpg.Connection) -> None:
        await publisher.forget()
        await refuse_restored_database(settings, database, outputs_of(NAME), range(partitions))

    await patiently(lambda: look(pool))
    outbox = Outbox(NAME, pool, partitions, settings.event_bytes_max)
    publisher.own(frozenset(range(partitions)))
    outbox.committed = publisher.offer
    watching = watch(settings, pool, partitions)
    reach = Reach(settings)
    watching.continuity.begin(await patiently(lambda: reach.begin(WATCHED, partitions)))
    evaluator = Evaluator(outbox, watching, reach, rulebook(), posts=settings.alert_webhook is not None)
    workers = [Worker("judge", evaluator.turn, pause_s=settings.alert_every_s)]
    webhook = None
    if settings.alert_webhook:
        webhook = Webhook(
            outbox, str(settings.alert_webhook), settings.alert_webhook_secret.get_secret_value().encode()
        )
        workers.append(Worker("webhook", webhook.turn, pause_s=1.0))
    _begin_at_zero(workers)
    app = create_app(NAME, lambda: _problems(watching, evaluator, publisher), (router(evaluator),))
    publishing_ends = asyncio.Event()
    log.info("started", partitions=partitions)
    try:
        async with asyncio.TaskGroup() as tasks:
            publishing = tasks.create_task(publisher.run(publishing_ends))
            running = [tasks.create_task(keep_working(worker, NAME, stopping)) for worker in workers]
            running.append(tasks.create_task(watching.run(stopping)))
            running.append(tasks.create_task(stays_alone(mine, stopping)))
            running.append(tasks.create_task(presence.keep(look, stopping)))
            running.append(tasks.create_task(serve(app, settings.http_host, settings.http_port, stopping)))
            await asyncio.gather(*running)
            publishing_ends.set()
            await publishing
    finally:
        await reach.close()
        if webhook:
            await webhook.close()
        pool.terminate()
        mine.terminate()
        presence.terminate()
    log.info("stopped")


def _begin_at_zero(workers: list[Worker]) -> None:
    EVENTS_OUT.announce(NAME, (AlertRaised.TYPE, AlertCleared.TYPE))
    for where in ("count", "publish", *(worker.name for worker in workers)):
        TROUBLES.labels(NAME, where)


def _problems(watching: Watch, evaluator: Evaluator, publisher: Publisher) -> list[str]:
    found = [publisher.trouble] if publisher.trouble else []
    if not watching.whole:
        found.append("the windows are being read back")
    elif evaluator.behind_s > BEHIND_MAX_S:
        found.append(f"what happened in the last {min(evaluator.behind_s, 1e9):.0f} s is not counted yet")
    return found
