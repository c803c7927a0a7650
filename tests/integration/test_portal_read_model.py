"""The portal's rows follow from the events alone: not from their order, nor from how often they come."""

from pathlib import Path
from random import Random

import pytest

from tests.integration.portal_desk import (
    ELSEWHERE,
    NEXT_VILLAGE,
    VILLAGE,
    Desk,
    cycle_and_dead,
    open_desk,
    recipient,
    story,
)

EVENTS = [*story(1), *story(2, moves_to=NEXT_VILLAGE), *story(3, village=ELSEWHERE), *cycle_and_dead()]


async def test_what_the_story_leaves(database: str, tmp_path: Path) -> None:
    async with open_desk(database, tmp_path) as desk:
        await desk.hand(EVENTS)
        held = await desk.pool.fetchrow("SELECT * FROM payout WHERE recipient_id = $1", recipient(1))
        assert (held["state"], held["attempt"], held["revision"], held["code"]) == ("confirmed", 2, 5, None)
        assert await desk.pool.fetchval("SELECT count(*) FROM happening WHERE recipient_id = $1", recipient(1)) == 15
        cycle = await desk.pool.fetchrow("SELECT * FROM cycle")
        assert (cycle["mode"], cycle["proposed_by"], cycle["approved_by"]) == ("continuous", "Ani", "Budi")
        alert = await desk.pool.fetchrow("SELECT * FROM alert")
        assert (alert["raised_value"], alert["cleared_value"], alert["level"]) == (0.95, 0.5, "warning")
        counted = await desk.counted()
        assert counted["recipient", VILLAGE, "", "registered"] == (1, 0)
        assert counted["recipient", NEXT_VILLAGE, "", "registered"] == (1, 0)
        assert counted["message", NEXT_VILLAGE, "whatsapp", "delivered"] == (1, 0)
        assert counted["payout", VILLAGE, "sembako", "confirmed"] == (2, 400_000)
        assert counted["cycle", ELSEWHERE, "sembako-2026-11", "confirmed"] == (1, 200_000)
        assert counted["decision", VILLAGE, "sembako", "eligible"] == (2, 400_000)
        assert counted["dead_letter", "", "registry", "not_json"] == (1, 0)
        assert counted["registration", VILLAGE, "village-app", "new"] == (1, 0)
        assert counted["registration", VILLAGE, "village-app", "rejected"] == (1, 0), "a used id is no answer"
        assert counted["flag", "", "village-app", "rejected"] == (3, 0)
        assert not any(state in ("queued", "ordered", "failed") for what, _, _, state in counted if what == "payout")
        await _counts_are_right(desk)


@pytest.mark.parametrize("seed", range(6))
async def test_any_order_and_any_repetition_lead_to_the_same_rows(database: str, tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    async with open_desk(database, tmp_path) as desk:
        delivered = [*EVENTS, *random.choices(EVENTS, k=20)]
        random.shuffle(delivered)
        while delivered:
            await desk.hand([delivered.pop() for _ in range(min(len(delivered), random.randint(1, 12)))])
        shuffled = await desk.picture()
        await _counts_are_right(desk)
        for table in shuffled:
            await desk.pool.execute(f"DELETE FROM {table}")
        await desk.hand(EVENTS)
        assert await desk.picture() == shuffled


async def _counts_are_right(desk: Desk) -> None:
    """Every count is what counting the table gives."""
    recounted = await desk.pool.fetch(
        """
        SELECT 'recipient', village, '', 'registered', count(*), 0 FROM recipient GROUP BY village
        UNION ALL SELECT kind, coalesce(village, ''), source, answer, count(*), 0 FROM submission
            GROUP BY kind, village, source, answer
        UNION ALL SELECT 'decision', village, programme, CASE WHEN eligible THEN 'eligible' ELSE 'ineligible' END,
            count(*), sum(amount_idr) FROM decision GROUP BY village, programme, eligible
        UNION ALL SELECT 'payout', village, programme, state, count(*), sum(amount_idr) FROM payout
            GROUP BY village, programme, state
        UNION ALL SELECT 'cycle', village, cycle, state, count(*), sum(amount_idr) FROM payout
            GROUP BY village, cycle, state
        UNION ALL SELECT 'message', coalesce(village, ''), channel, state, count(*), 0 FROM message
            GROUP BY village, channel, state
        UNION ALL SELECT 'dead_letter', '', service, code, count(*), 0 FROM dead_letter GROUP BY service, code
        """
    )
    assert {tuple(row)[:4]: tuple(row)[4:] for row in recounted} == await desk.counted()
