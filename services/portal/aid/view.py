"""One recipient's page, from rows to words."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import asyncpg
import orjson
import structlog

from services.portal.domain.aid import Card, Decision, Payout, Said, cards, history
from services.portal.store import aid as store
from services.portal.texts import Catalogue, Words
from shared.errors import CannotOpen, Erased, KeyMissing
from shared.privacy.keyring import Keyring
from shared.words import day, moment, period, place, rupiah

log = structlog.get_logger()

DETAILS_SCHEMA: Final = "details/1"


class ShownCard(NamedTuple):
    """A programme in words; what there is nothing to say about is empty."""

    title: str
    state: str
    amount: str
    per: str
    line: str
    why: str
    reasons: tuple[str, ...]
    next_step: str
    decided: str


class ShownPayout(NamedTuple):
    period: str
    title: str
    amount: str
    state: str
    day: str


async def shown(
    pool: asyncpg.Pool, keyring: Keyring, names: Catalogue, recipient_id: str, t: Words, at: datetime
) -> dict[str, Any]:
    """What the template `aid` needs."""
    decisions = [_decision(row, recipient_id, keyring) for row in await store.decisions_of(pool, recipient_id)]
    decisions.sort(key=lambda decision: names.place(decision.programme))
    payouts = [_payout(row) for row in await store.payouts_of(pool, recipient_id)]
    has_account = await store.has_account(pool, recipient_id)
    return {
        "at": moment(at, t.language),
        "cards": [_card(card, names, t) for card in cards(decisions, payouts, has_account=has_account)],
        "history": _history(payouts, names, t),
    }


def _card(card: Card, names: Catalogue, t: Words) -> ShownCard:
    programme, language = names.programme(card.programme), t.language
    decision, payout = card.decision, card.payout
    granted = decision is not None and decision.eligible
    reasons: tuple[str, ...] = ()
    if decision is not None:
        reasons = tuple(_in(said, t) for said in (*decision.reasons, *decision.particulars))
    return ShownCard(
        title=programme.title.in_(language),
        state=card.state,
        amount=rupiah(decision.amount_idr, language) if granted and decision else "",
        per=programme.per.in_(language) if granted else "",
        line=_line(payout, names, t) if payout else t("granted") if card.state == "granted" else "",
        why=_in(payout.why, t) if payout and payout.why else "",
        reasons=reasons,
        next_step=card.next_step,
        decided=t("decided_on", day=day(decision.at, language)) if decision else "",
    )


_LINES: Final = {
    "queued": "waiting",
    "ordered": "sending",
    "confirmed": "paid",
    "failed": "failed",
    "cancelled": "cancelled",
}


def _line(payout: Payout, names: Catalogue, t: Words) -> str:
    channel = names.channels.get(payout.channel or "")
    return t(
        _LINES[payout.state],
        amount=rupiah(payout.amount_idr, t.language),
        period=period(payout.period, t.language),
        channel=channel.in_(t.language) if channel else t("own_account"),
        day=day(payout.at, t.language),
        place=place(payout.place, t.language) if payout.place else "",
    )


def _history(payouts: Sequence[Payout], names: Catalogue, t: Words) -> list[ShownPayout]:
    return [
        ShownPayout(
            period(payout.period, t.language),
            names.programme(payout.programme).title.in_(t.language),
            rupiah(payout.amount_idr, t.language),
            t(f"was_{payout.state}"),
            day(payout.at, t.language),
        )
        for payout in history(payouts)
    ]


def _in(said: Said, t: Words) -> str:
    return said.en if t.language == "en" else said.id


def _decision(row: asyncpg.Record, recipient_id: str, keyring: Keyring) -> Decision:
    reasons = tuple(Said(held["id"], held["en"]) for held in orjson.loads(row["reasons"]))
    particulars = _particulars(row["details"], recipient_id, keyring)
    return Decision(row["programme"], row["eligible"], row["amount_idr"], reasons, particulars, row["at"])


def _particulars(sealed: str | None, recipient_id: str, keyring: Keyring) -> tuple[Said, ...]:
    """None where they are erased or cannot be opened here: the reasons stand without them."""
    if sealed is None:
        return ()
    try:
        opened = keyring.open(sealed, "particulars", recipient=recipient_id, schema=DETAILS_SCHEMA)
    except Erased:
        return ()
    except (CannotOpen, KeyMissing) as error:
        log.error("particulars of a decision do not open", reason=error.message)
        return ()
    return tuple(Said(held["id"], held["en"]) for held in orjson.loads(opened))


def _payout(row: asyncpg.Record) -> Payout:
    why = Said(row["text_id"], row["text_en"]) if row["text_id"] else None
    return Payout(
        row["programme"],
        row["cycle"],
        row["period"],
        row["state"],
        row["amount_idr"],
        row["place"],
        row["channel"],
        row["code"],
        why,
        row["at"],
    )
