"""Write a whole population to a folder, family by family, with memory that does not grow with their number."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final

import orjson

from salur.population import rates
from salur.population.arrivals import Arrivals
from salur.population.family import Families, Planted
from salur.population.flags import FLAGS, FlagRow
from salur.population.intake import KINDS, Submission
from salur.population.output import CsvOutput, JsonLinesOutput, all_or_nothing

REGISTRATIONS: Final = "registrations.csv"
FLAGS_FILE: Final = "flags.csv"
TRUTH: Final = "truth.jsonl"
SUMMARY: Final = "population.json"
REFERENCE_DATE: Final = date(2026, 11, 24)
DEFECTS: Final = (*rates.INTAKE, *FLAGS, "flag_withdrawn")
"""Every defect class, in the order of reports."""
_PROGRESS_EVERY: Final = 500
_DETAIL: Final = {"registered": "change", "unchanged": "reason", "rejected": "code"}


def reference_on(today: date) -> date:
    """The reference date of files that are fed today: the registry takes nothing that is dated ahead of its clock."""
    return min(REFERENCE_DATE, today)


@dataclass(slots=True)
class _Counts:
    answers: Counter[str] = field(default_factory=Counter)
    defects: Counter[str] = field(default_factory=Counter)
    kinds: Counter[tuple[str, str]] = field(default_factory=Counter)
    people: int = 0
    two_registrants: int = 0
    two_or_more_flags: int = 0


def generate(
    out: Path,
    families: int,
    seed: int,
    reference: date = REFERENCE_DATE,
    progress: Callable[[int], None] = lambda families_done: None,
) -> dict[str, Any]:
    """Write the four files into `out` (made if missing, files replaced) and return the content of population.json.

    `families` is at least 1 and at most FAMILIES_MAX. The bytes depend on `families`, `seed`, `reference` and
    `rates.VERSION` alone. `progress` is told now and then how many families are done. May raise OSError.
    """
    out.mkdir(parents=True, exist_ok=True)
    registrations = CsvOutput(out / REGISTRATIONS, Submission._fields)
    flags = CsvOutput(out / FLAGS_FILE, FlagRow._fields)
    truth = JsonLinesOutput(out / TRUTH)
    summary = JsonLinesOutput(out / SUMMARY)
    with all_or_nothing(registrations, flags, truth, summary):
        counts = _write(Families(seed, reference), families, registrations, flags, truth, progress)
        result = {
            "version": rates.VERSION,
            "seed": seed,
            "families": families,
            "reference_date": reference.isoformat(),
            "rates": _rates(),
            "counts": _counts(counts, registrations.rows, flags.rows),
            "files": {output.path.name: output.summary() for output in (registrations, flags, truth)},
        }
        summary.write_bytes(orjson.dumps(result, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    return result


def _write(
    source: Families,
    families: int,
    registrations: CsvOutput,
    flags: CsvOutput,
    truth: JsonLinesOutput,
    progress: Callable[[int], None],
) -> _Counts:
    counts = _Counts()
    coming: Arrivals[tuple[int, Planted, tuple[str, ...]]] = Arrivals()
    coming_flags: Arrivals[FlagRow] = Arrivals()

    def write_arrived(now: float) -> None:
        for number, planted, standing in coming.arrived(now):
            registrations.row(planted.submission)
            truth.line(_submission_truth(registrations.rows, number, planted, standing))
            counts.answers[planted.expected.answer] += 1
        for flag in coming_flags.arrived(now):
            flags.row(flag)

    for number in range(families):
        family = source.make(number)
        for planted in family.registrations:
            standing = family.standing.get(planted.submission.nik, ())
            coming.send(number + planted.delay, (number, planted, standing))
            if planted.defect:
                counts.defects[planted.defect] += 1
                counts.kinds[planted.defect, planted.kind] += 1
        for at, flag in family.flags:
            coming_flags.send(number + at, flag)
        for line in family.truth:
            truth.line(line)
            counts.defects.update(line.get("defects", ()))
            counts.two_or_more_flags += len(line.get("standing", ())) > 1
        counts.people += len(family.registered)
        counts.two_registrants += len(family.registered) > 1
        write_arrived(number)
        if number % _PROGRESS_EVERY == 0:
            progress(number)
    write_arrived(float("inf"))
    progress(families)
    return counts


def _submission_truth(row: int, number: int, planted: Planted, standing: tuple[str, ...]) -> dict[str, Any]:
    expected = planted.expected
    return {
        "kind": "submission",
        "row": row,
        "family": number,
        "person": planted.person,
        "nik": planted.submission.nik,
        "defects": [planted.defect] if planted.defect else [],
        "form": planted.kind or None,
        "expected": {"answer": expected.answer, _DETAIL[expected.answer]: expected.detail},
        "possible": expected.possible,
        "wins": expected.wins,
        "excluded_by": standing,
    }


def _rates() -> dict[str, float]:
    """Expected share of each defect class: of families, for flags of people registered under one NIK."""
    flags = {flag: round(rates.flag_rate(flag), 6) for flag in FLAGS}
    return {**rates.INTAKE, **flags, "flag_withdrawn": rates.FLAG_WITHDRAWN}


def _counts(counts: _Counts, submissions: int, flag_rows: int) -> dict[str, Any]:
    return {
        "submissions": submissions,
        "registered_people": counts.people,
        "two_registrants": counts.two_registrants,
        "flag_rows": flag_rows,
        "two_or_more_flags": counts.two_or_more_flags,
        "answers": {answer: counts.answers[answer] for answer in _DETAIL},
        "defects": {defect: counts.defects[defect] for defect in DEFECTS},
        "forms": {defect: {kind: counts.kinds[defect, kind] for kind in kinds} for defect, kinds in KINDS.items()},
    }
