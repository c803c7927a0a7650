"""From submissions to payouts: how many are where, by each service's own tables."""

import asyncpg

from salur.report.document import Funnel, ProgrammeFunnel, SubmissionFunnel, Title

_STANDINGS = {
    "no_open_cycle": "no_open_cycle",
    "not_yet_considered": "not_yet_considered",
    "queued": "queued",
    "ordered": "ordered",
    "claimed": "at_the_bank",
    "unknown": "at_the_bank",
    "unsent": "at_the_bank",
    "confirmed": "confirmed",
    "failed": "failed",
    "cancelled": "cancelled",
}


async def submissions(registry: asyncpg.Connection, funnel: Funnel) -> None:
    """What was answered, and who is registered."""
    kinds = {kind: SubmissionFunnel(kind=kind) for kind in ("registration", "flag")}
    rows = await registry.fetch("SELECT kind, answer, detail, count(*) AS n FROM submission GROUP BY 1, 2, 3")
    for row in sorted(rows, key=lambda row: -row["n"]):
        kind = kinds[row["kind"]]
        kind.answered += row["n"]
        kind.answers[" ".join(filter(None, (row["answer"], row["detail"])))] = row["n"]
    for row in await registry.fetch(
        """
        SELECT kind, split_part(problem, ':', 2) AS code, count(*) AS n
        FROM submission CROSS JOIN unnest(problems) AS problem GROUP BY 1, 2 ORDER BY 3 DESC, 2
        """
    ):
        kinds[row["kind"]].rejected_by_code[row["code"]] = row["n"]
    funnel.submissions = list(kinds.values())
    people = await registry.fetch(
        """
        SELECT count(*), count(DISTINCT family_id),
            count(*) FILTER (WHERE EXISTS (
                SELECT FROM flag AS f WHERE f.recipient_id = r.recipient_id AND f.raised
            ))
        FROM recipient AS r
        """
    )
    funnel.recipients, funnel.families, funnel.flagged = people[0]


async def decisions(eligibility: asyncpg.Connection, funnel: Funnel) -> None:
    """One entry for each programme that decided anything or is in force."""
    found: dict[str, ProgrammeFunnel] = {}
    for name, title in await _titles(eligibility):
        found[name] = ProgrammeFunnel(programme=name, title=title)
    for row in await eligibility.fetch(
        """
        SELECT programme, count(*) AS decided, count(*) FILTER (WHERE outcome = 'eligible') AS eligible,
            coalesce(sum(amount_idr), 0)::bigint AS eligible_idr
        FROM decision GROUP BY 1
        """
    ):
        one = found.setdefault(row["programme"], ProgrammeFunnel(programme=row["programme"]))
        one.decided, one.eligible, one.eligible_idr = row["decided"], row["eligible"], row["eligible_idr"]
    for row in await eligibility.fetch(
        """
        SELECT programme, reason, sum(n)::bigint AS n
        FROM (SELECT programme, reasons, count(*) AS n FROM decision WHERE outcome = 'ineligible' GROUP BY 1, 2) AS d
        CROSS JOIN unnest(string_to_array(reasons, ' ')) AS reason
        GROUP BY 1, 2 ORDER BY 3 DESC, 2
        """
    ):
        found[row["programme"]].ineligible_by_reason[row["reason"]] = row["n"]
    funnel.eligible = await eligibility.fetchval(
        "SELECT count(DISTINCT recipient_id) FROM decision WHERE outcome = 'eligible'"
    )
    funnel.programmes = sorted(found.values(), key=lambda one: (-one.eligible_idr, one.programme))


async def _titles(eligibility: asyncpg.Connection) -> list[tuple[str, Title]]:
    rows = await eligibility.fetch(
        """
        SELECT p.key, p.value #>> '{title,id}', p.value #>> '{title,en}'
        FROM (SELECT programmes FROM rulebook ORDER BY rulebook_id DESC LIMIT 1) AS r
        CROSS JOIN jsonb_each(r.programmes) AS p
        """
    )
    return [(name, Title(id=indonesian or name, en=english or name)) for name, indonesian, english in rows]


async def payouts(payout: asyncpg.Connection, funnel: Funnel) -> None:
    """Where each eligible decision stands."""
    funnel.paid = await payout.fetchval("SELECT count(DISTINCT recipient_id) FROM payout WHERE state = 'confirmed'")
    by_name = {one.programme: one for one in funnel.programmes}
    rows = await payout.fetch(
        "SELECT programme, cycle, standing, count(*) AS n FROM standing WHERE standing <> 'lost' GROUP BY 1, 2, 3"
    )
    for row in rows:
        one = by_name.get(row["programme"])
        if one is None:
            one = by_name[row["programme"]] = ProgrammeFunnel(programme=row["programme"])
            funnel.programmes.append(one)
        one.cycle = row["cycle"] or one.cycle
        field = _STANDINGS[row["standing"]]
        setattr(one, field, getattr(one, field) + row["n"])
