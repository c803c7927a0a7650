"""Going back on partitions while they are fetched, as fast as may be: nothing ends, is lost or counted twice."""

import asyncio
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from faust.serializers.codecs import dumps

from services.monitor.intake import Reach
from services.monitor.settings import MonitorSettings
from services.monitor.tables import Windows
from services.monitor.watching import WATCHED, watch
from shared.events import PayoutConfirmed
from shared.postgres import migrate, open_pool
from shared.runtime.patience import patiently
from tests.integration.monitor_desk import Desk, desk, minute_of
from tests.integration.test_monitor import paid
from tests.slow import takes_minutes

pytestmark = takes_minutes

EVENTS = 3_000


async def told_once(monitor: Desk, windows: Windows) -> None:
    """The changelog says what the table does, with far fewer records than events; what is forgotten, it forgets."""

    async def changelog() -> dict[bytes, bytes]:
        records = await monitor.records(windows.minute.changelog_topic_name)
        assert len(records) < EVENTS / 10
        return {record.key: record.value for record in records}

    async def same(expected: dict[bytes, bytes | None]) -> None:
        async with asyncio.timeout(20):
            while await changelog() != expected:
                await asyncio.sleep(0.2)

    expected = {dumps("json", key): dumps("json", count) for key, count in windows.minute.items()}
    await same(expected)
    forgotten = next(iter(windows.minute))
    del windows.minute[forgotten]
    await windows.written()
    await same({**expected, dumps("json", forgotten): None})


async def test_going_back_while_messages_are_handed_out(kafka: str, database: str, tmp_path: Path) -> None:
    async with desk(kafka, database, tmp_path / "keys.json") as monitor:
        at = minute_of(datetime.now(UTC))
        await monitor.publish("payout", (paid(n, at) for n in range(EVENTS)))
        settings = MonitorSettings(kafka=kafka, postgres=database, gather_s=0.1, session_timeout_ms=6_000)
        await migrate(settings.url("monitor"), "monitor")
        pool = await open_pool(settings.url("monitor"), "monitor")
        watching, reach, stopping = watch(settings, pool, settings.partitions), Reach(settings), asyncio.Event()
        watching.continuity.begin(await patiently(lambda: reach.begin(WATCHED, settings.partitions)))
        switches = sys.getswitchinterval()
        running = asyncio.create_task(watching.run(stopping))
        try:
            sys.setswitchinterval(1e-6)  # threads meet as seldom as they like on one machine, and often on another
            async with asyncio.timeout(60):
                while not watching.whole:
                    await asyncio.sleep(0.05)
                until = asyncio.get_running_loop().time() + 5
                while asyncio.get_running_loop().time() < until and not running.done():
                    for tp in watching.app.consumer.assignment():
                        if tp.topic == PayoutConfirmed.TYPE:
                            await watching.app.consumer.seek(tp, 0)
                    await asyncio.sleep(0.001)
                sys.setswitchinterval(switches)
                ends = await reach.ends([PayoutConfirmed.TYPE], settings.partitions)
                while any(watching.continuity.next.get(tp, 0) < end for tp, end in ends.items()) and not running.done():
                    await watching.read_again(ends)
                    await asyncio.sleep(0.5)
            assert not running.done(), running
            counted: Counter[str] = Counter()
            for (cell, _), count in watching.windows.minute.items():
                counted[cell.split("|")[0]] += count["n"]
            assert counted == {PayoutConfirmed.TYPE: EVENTS}
            await told_once(monitor, watching.windows)
        finally:
            sys.setswitchinterval(switches)
            stopping.set()
            await asyncio.wait([running])
            await reach.close()
            await pool.close()
        await running
