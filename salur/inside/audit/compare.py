"""Rows against what events said of them, key by key."""

from collections.abc import Iterable, Sequence

from salur.inside.audit.agreement import Agreement
from salur.inside.audit.result import Finding, Findings, Kind, TableAudit
from salur.inside.audit.spill import ANY, NULL, SEPARATOR, Said, Spill, Subject
from shared.events.topics import Service
from shared.runtime.positions import Place

_SHOWN_CHARS_MAX = 60


def compare(
    stage: Service,
    number: int,
    agreement: Agreement,
    spill: Spill,
    places: Sequence[Place],
    table: TableAudit,
    findings: Findings,
) -> None:
    """Compares all keys of one agreement. What differs over an event that this stage could not process is excused."""
    table.agreeing = table.rows
    for subject in spill.suspects(number, first_rank=1 if agreement.gapless else None):
        problem = _problem(agreement, subject)
        if problem is None:
            continue
        table.agreeing -= subject.stands is not None
        dead = [said for said in subject.said if spill.is_dead(stage, said.place, said.offset)]
        if dead and _follows_from_the_rest(agreement, subject, dead):
            table.excused += 1
            continue
        kind, said, detail = problem
        table.mismatches += 1
        where = _place(said, places)
        findings.add(
            Finding(
                kind=kind,
                stage=stage,
                topic=where.topic if where else None,
                partition=where.partition if where else None,
                offset=said.offset if said and said.offset >= 0 else None,
                sequence=said.sequence if said else None,
                table=agreement.table,
                key=subject.key,
                detail=f"{stage}.{agreement.table} {subject.key}: {detail}" + _source(said, where),
            )
        )


def _problem(agreement: Agreement, subject: Subject) -> tuple[Kind, Said | None, str] | None:
    said, stands = subject.said, subject.stands
    if not said:
        return Kind.ROW_UNTOLD, None, "there is a row, and no event says so"
    counts = _counting(agreement, said)
    if stands is None and agreement.optional:
        return None
    if stands is None:
        return Kind.ROW_MISSING, counts, "there is no row, and an event says so"
    if not _agrees(agreement, counts, stands):
        return Kind.ROW_DIFFERS, counts, "; ".join(_differing(agreement.fields, counts.fields, stands))
    if agreement.once and len(said) > 1:
        return Kind.SAID_TWICE, counts, f"told {len(said)} times"
    if agreement.gapless and [one.rank for one in said] != list(range(1, len(said) + 1)):
        told = ", ".join(str(one.rank) for one in said[:20])
        return Kind.REVISIONS, counts, f"its events have the revisions {told}, not 1 to {len(said)}"
    return None


def _follows_from_the_rest(agreement: Agreement, subject: Subject, dead: Sequence[Said]) -> bool:
    """Whether the row is as the events say that the stage could process, or as one says that was put back since."""
    alive = [said for said in subject.said if said not in dead]
    if subject.stands is None:
        return not alive
    counting = [_counting(agreement, alive)] if alive else []
    put_back = [said for said in dead if not counting or said.rank >= counting[0].rank]  # type: ignore[operator]
    return any(_agrees(agreement, said, subject.stands) for said in (*counting, *put_back))


def _agrees(agreement: Agreement, said: Said, stands: str) -> bool:
    return said.fields == stands or not _differing(agreement.fields, said.fields, stands)


def _counting(agreement: Agreement, said: Sequence[Said]) -> Said:
    """The event that counts; `said` is in the order of rank and sequence."""
    last = said[-1]
    if agreement.tie == "first":
        return next(one for one in said if one.rank == last.rank)
    return last


def _differing(names: Iterable[str], said: str, stands: str) -> list[str]:
    told, found = said.split(SEPARATOR), stands.split(SEPARATOR)
    differing = [
        f"{name} is {_shown(row)}, the event says {_shown(event)}"
        for name, event, row in zip(names, told, found, strict=False)
        if event not in (row, ANY) and row != ANY
    ]
    if len(told) != len(found):
        differing.append("a control character stands in one of its texts")
    return differing


def _shown(value: str) -> str:
    if value == NULL:
        return "empty"
    return value if len(value) <= _SHOWN_CHARS_MAX else value[:_SHOWN_CHARS_MAX] + "…"


def _place(said: Said | None, places: Sequence[Place]) -> Place | None:
    return places[said.place] if said else None


def _source(said: Said | None, where: Place | None) -> str:
    if said is None or where is None:
        return ""
    return f" ({where.topic}/{where.partition} sequence {said.sequence}" + (
        f", offset {said.offset})" if said.offset >= 0 else ", in the outbox)"
    )
