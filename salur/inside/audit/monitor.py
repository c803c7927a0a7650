"""The monitor's rows: what was raised and cleared, against the events that said so."""

from collections.abc import Iterable
from typing import Final

from salur.inside.audit.agreement import Agreement, Json, Says, StageRules, micros, micros_sql, topic
from shared.events import AlertCleared, AlertRaised

_KEY: Final = "rule || '/' || about || '/' || raising"


def _key(event: Json) -> str:
    data = event["data"]
    return f"{data['rule']}/{data['about']}/{data['raising']}"


def _raised(event: Json) -> Iterable[Says]:
    data = event["data"]
    yield Says(_key(event), 0, (event["id"], data["level"], data["runbook"], str(micros(data["since"]))))


def _cleared(event: Json) -> Iterable[Says]:
    yield Says(_key(event), 0, (str(micros(event["data"]["cleared_at"])),))


RULES: Final = StageRules(
    "monitor",
    (
        Agreement(
            "alert",
            ("raised_id", "level", "runbook", "since"),
            f"SELECT {_KEY}, raised_id, level, runbook, {micros_sql('since')} FROM alert",
            {topic(AlertRaised): _raised},
            once=True,
        ),
        Agreement(
            "alert (cleared)",
            ("cleared_at",),
            f"SELECT {_KEY}, {micros_sql('cleared_at')} FROM alert WHERE cleared_at IS NOT NULL",
            {topic(AlertCleared): _cleared},
            once=True,
        ),
    ),
)
