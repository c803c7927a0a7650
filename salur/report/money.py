"""The money: each cycle's accounts and payouts, and the ledger's own consistency."""

import asyncpg

from salur.report.document import CycleMoney, Invariant, Money

_MONEY = "budget_idr, available_idr, reserved_idr, in_transit_idr, paid_idr, returned_idr"


async def cycles(payout: asyncpg.Connection, money: Money) -> None:
    """Accounts, counts and reasons of failure of every cycle, the latest period first."""
    rows = await payout.fetch(
        f"""
        SELECT cycle, programme, period, mode, state, {_MONEY}, queued, queued_idr, ordered, at_the_bank, confirmed,
            failed, cancelled
        FROM cycle_books ORDER BY period DESC, programme
        """
    )
    by_name = {row["cycle"]: CycleMoney(**dict(row)) for row in rows}
    for row in await payout.fetch(
        """
        SELECT cycle, count(*) FILTER (WHERE kind = 'reserve') AS orders,
            coalesce(sum(amount_idr) FILTER (WHERE kind = 'reserve'), 0)::bigint AS orders_idr,
            coalesce(sum(amount_idr) FILTER (WHERE kind = 'void'), 0)::bigint AS voided_idr
        FROM transfer GROUP BY cycle
        """
    ):
        one = by_name[row["cycle"]]
        one.orders, one.orders_idr, one.voided_idr = row["orders"], row["orders_idr"], row["voided_idr"]
    for row in await payout.fetch(
        "SELECT cycle, code, count(*) AS n FROM reference_book WHERE state = 'failed' GROUP BY 1, 2 ORDER BY 3 DESC, 2"
    ):
        by_name[row["cycle"]].failed_by_code[row["code"]] = row["n"]
    money.cycles = list(by_name.values())
    money.contradictions = await payout.fetchval("SELECT count(*) FROM contradiction")


async def ledger_balanced(payout: asyncpg.Connection) -> Invariant:
    """Every transfer has two sides by construction; so what can be wrong is what the ledger's rows add up to."""
    invariant = Invariant(name="ledger_balanced")
    for row in await payout.fetch(
        "SELECT problem, cycle, subject, difference_idr FROM ledger_problem ORDER BY 2, 1, 3"
    ):
        what = row["problem"].replace("_", " ")
        invariant.wrong(f"{row['cycle']} {row['subject']}: {what}, by Rp{row['difference_idr']:,}")
    return invariant


def budget_kept(money: Money) -> Invariant:
    """Of no cycle more was committed, spent or (by the bank's books) moved than was approved."""
    invariant = Invariant(name="budget_kept")
    for one in money.cycles:
        spent = {
            "was ordered and not given back": one.orders_idr - one.voided_idr,
            "was paid by the ledger": one.paid_idr,
            "left the bank": one.bank_idr or 0,
        }
        for what, idr in spent.items():
            if idr > one.budget_idr:
                invariant.wrong(f"{one.cycle}: Rp{idr:,} {what}, Rp{one.budget_idr:,} was approved")
                break
    return invariant
