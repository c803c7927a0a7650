"""Every SQL statement of this service. Locks are taken in one order: recipients, families, then everything else."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg

from services.eligibility.rulebook import Rulebook
from shared.errors import SalurError, Trouble
from shared.runtime import resealed_store
from shared.runtime.resealed import FlagValues, Values


class Registered(NamedTuple):
    """The columns of `recipient` that the registration fills, all but payment and contact."""

    registration_revision: int
    registered_at: datetime
    family_id: str
    village: str
    decile: int
    eligibility: str
    payment: str | None
    contact: str | None
    cause_id: str
    correlation_id: str
    traceparent: str
    rulebook_id: int


class Recipient(NamedTuple):
    """A row of `recipient`. `registered` is None while only flags are known."""

    recipient_id: str
    flag_revision: int
    flags: str | None
    registered: Registered | None


class CurrentDecision(NamedTuple):
    """A row of `decision`, column by column."""

    recipient_id: str
    programme: str
    revision: int
    programme_version: int
    outcome: str
    amount_idr: int
    reasons: str
    registration_revision: int
    flag_revision: int
    decided_at: datetime


class Known(NamedTuple):
    """What decides whether and how a current decision is superseded: of whom, in which programme, and a `Standing`."""

    recipient_id: str
    programme: str
    revision: int
    programme_version: int
    eligible: bool
    registration_revision: int
    flag_revision: int


class RulesGoBack(SalurError):
    """The programmes at hand are older than, or contradict, those that decisions were made under."""


class Meanwhile(Trouble):
    """Another worker wrote the same recipient first: the same batch is read anew and succeeds."""


_NAMES = ("recipient_id", "flag_revision", "flags", *Registered._fields)
_RECIPIENT = ", ".join(_NAMES)
_UNREGISTERED = (0, *(None,) * (len(Registered._fields) - 1))
_UNNESTED = """unnest(
    $1::text[], $2::int[], $3::text[],
    $4::int[], $5::timestamptz[], $6::text[], $7::text[], $8::smallint[], $9::text[], $10::text[], $11::text[],
    $12::text[], $13::text[], $14::text[], $15::int[]
)"""


async def take_rulebook(tx: asyncpg.Connection, book: Rulebook) -> int:
    """The number of these rules: it grows with every new set of them. Raises RulesGoBack."""
    await tx.execute("SELECT pg_advisory_xact_lock(hashtext('eligibility.rulebook'))")
    newest = await tx.fetchrow("SELECT rulebook_id, digest, programmes FROM rulebook ORDER BY rulebook_id DESC LIMIT 1")
    if newest and newest["digest"] == book.digest:
        return int(newest["rulebook_id"])
    if newest:
        _refuse_going_back(book, json.loads(newest["programmes"]))
    return int(
        await tx.fetchval(
            "INSERT INTO rulebook (digest, programmes) VALUES ($1, $2) RETURNING rulebook_id",
            book.digest,
            json.dumps(book.contents()),
        )
    )


async def lock_recipients(tx: asyncpg.Connection, recipient_ids: Sequence[str]) -> list[Recipient]:
    """Those that are known, locked in the order of their ids. `recipient_ids` must be sorted."""
    rows = await tx.fetch(
        f"""
        SELECT {_RECIPIENT}
        FROM recipient
        WHERE recipient_id = ANY ($1::text[])
        ORDER BY recipient_id
        FOR NO KEY UPDATE
        """,
        recipient_ids,
    )
    return [_recipient(row) for row in rows]


async def lock_outdated(tx: asyncpg.Connection, rulebook_id: int, limit: int) -> list[Recipient]:
    """Up to `limit` recipients who were decided under earlier rules; those that others work on are left out."""
    rows = await tx.fetch(
        f"""
        SELECT {_RECIPIENT}
        FROM recipient
        WHERE rulebook_id < $1
        LIMIT $2
        FOR NO KEY UPDATE SKIP LOCKED
        """,
        rulebook_id,
        limit,
    )
    return [_recipient(row) for row in rows]


async def lock_families(tx: asyncpg.Connection, family_ids: Sequence[str]) -> list[str]:
    """Locks these families in the order of their ids, new ones included; returns those that were known before.

    `family_ids` must be sorted. The update never happens, but a row that is there is locked for it.
    """
    rows = await tx.fetch(
        """
        INSERT INTO family AS f (family_id)
        SELECT * FROM unnest($1::text[]) AS wanted (family_id) ORDER BY family_id
        ON CONFLICT (family_id) DO UPDATE SET family_id = excluded.family_id WHERE false
        RETURNING family_id
        """,
        family_ids,
    )
    new = {row[0] for row in rows}
    return [family_id for family_id in family_ids if family_id not in new]


async def others_on_card(tx: asyncpg.Connection, family_ids: Sequence[str], but: Collection[str]) -> list[Recipient]:
    """The registered people of these (locked) families, except those at hand."""
    rows = await tx.fetch(
        f"""
        SELECT {_RECIPIENT}
        FROM recipient
        WHERE family_id = ANY ($1::text[]) AND recipient_id <> ALL ($2::text[])
        """,
        family_ids,
        but,
    )
    return [_recipient(row) for row in rows]


async def current_decisions(tx: asyncpg.Connection, recipient_ids: Sequence[str]) -> list[Known]:
    """Of people whose families are locked."""
    rows = await tx.fetch(
        """
        SELECT recipient_id, programme, revision, programme_version, outcome = 'eligible', registration_revision,
            flag_revision
        FROM decision
        WHERE recipient_id = ANY ($1::text[])
        """,
        recipient_ids,
    )
    return [Known(*row) for row in rows]


async def payees(tx: asyncpg.Connection, family_ids: Sequence[str]) -> dict[tuple[str, str], str]:
    """Who is paid, by (family, programme), for locked families."""
    rows = await tx.fetch(
        "SELECT family_id, programme, recipient_id FROM family_payee WHERE family_id = ANY ($1::text[])", family_ids
    )
    return {(row[0], row[1]): row[2] for row in rows}


async def add_recipients(tx: asyncpg.Connection, recipients: Sequence[Recipient]) -> None:
    """People who were not known when this turn locked the others. Raises Meanwhile when one is known by now."""
    if not recipients:
        return
    rows = await tx.fetch(
        f"""
        INSERT INTO recipient ({_RECIPIENT})
        SELECT * FROM {_UNNESTED} AS new ({_RECIPIENT})
        ORDER BY recipient_id
        ON CONFLICT DO NOTHING
        RETURNING 1
        """,
        *_columns(map(_flat, recipients)),
    )
    if len(rows) != len(recipients):
        raise Meanwhile("another worker wrote a recipient of this batch first")


async def change_recipients(tx: asyncpg.Connection, recipients: Sequence[Recipient]) -> None:
    """New states of locked recipients. Raises Meanwhile rather than move a revision backwards."""
    if not recipients:
        return
    changes = ", ".join(f"{name} = new.{name}" for name in _NAMES[1:])
    status = await tx.execute(
        f"""
        UPDATE recipient AS r
        SET {changes}
        FROM {_UNNESTED} AS new ({_RECIPIENT})
        WHERE r.recipient_id = new.recipient_id
            AND r.registration_revision <= new.registration_revision
            AND r.flag_revision <= new.flag_revision
        """,
        *_columns(map(_flat, recipients)),
    )
    if int(status.rpartition(" ")[2]) != len(recipients):
        raise Meanwhile("another worker moved a recipient of this batch on")


async def mark_decided(tx: asyncpg.Connection, recipient_ids: Sequence[str], rulebook_id: int) -> None:
    """All current decisions of these (locked) recipients follow from these rules, or later ones."""
    await tx.execute(
        "UPDATE recipient SET rulebook_id = $2 WHERE recipient_id = ANY ($1::text[])", recipient_ids, rulebook_id
    )


async def put_decisions(
    tx: asyncpg.Connection, first: Sequence[CurrentDecision], later: Sequence[CurrentDecision]
) -> None:
    """Makes decisions the current ones: `first` where there was none, `later` where one is superseded."""
    if first:
        await tx.copy_records_to_table("decision", records=first, columns=CurrentDecision._fields)
    if not later:
        return
    status = await tx.execute(
        """
        UPDATE decision AS d
        SET revision = new.revision,
            programme_version = new.programme_version,
            outcome = new.outcome,
            amount_idr = new.amount_idr,
            reasons = new.reasons,
            registration_revision = new.registration_revision,
            flag_revision = new.flag_revision,
            decided_at = new.decided_at
        FROM unnest(
            $1::text[], $2::text[], $3::int[], $4::int[], $5::text[], $6::bigint[], $7::text[], $8::int[], $9::int[],
            $10::timestamptz[]
        ) AS new (
            recipient_id, programme, revision, programme_version, outcome, amount_idr, reasons,
            registration_revision, flag_revision, decided_at
        )
        WHERE (d.recipient_id, d.programme) = (new.recipient_id, new.programme) AND d.revision < new.revision
        """,
        *_columns(later),
    )
    if int(status.rpartition(" ")[2]) != len(later):
        raise Meanwhile("another worker decided a recipient of this batch meanwhile")


async def put_payees(
    tx: asyncpg.Connection, before: Mapping[tuple[str, str], str], after: Mapping[tuple[str, str], str]
) -> None:
    """Writes what differs. Both are by (family, programme)."""
    if gone := sorted(before.keys() - after.keys()):
        await tx.execute(
            """
            DELETE FROM family_payee
            WHERE (family_id, programme) IN (SELECT * FROM unnest($1::text[], $2::text[]))
            """,
            *_columns(gone),
        )
    if new := sorted((*key, payee) for key, payee in after.items() if key not in before):
        await tx.copy_records_to_table("family_payee", records=new, columns=("family_id", "programme", "recipient_id"))
    if turned := sorted((*key, payee) for key, payee in after.items() if before.get(key, payee) != payee):
        await tx.execute(
            """
            UPDATE family_payee AS f
            SET recipient_id = new.recipient_id
            FROM unnest($1::text[], $2::text[], $3::text[]) AS new (family_id, programme, recipient_id)
            WHERE (f.family_id, f.programme) = (new.family_id, new.programme)
            """,
            *_columns(turned),
        )


async def reseal(tx: asyncpg.Connection, values: Sequence[Values], flags: Sequence[FlagValues]) -> None:
    """The same values under newer keys, for locked recipients whose registration, or flags, are of that revision."""
    if values:
        await tx.execute(reseal_values(resealed_store.GIVEN), *resealed_store.arguments(values))
    if flags:
        await tx.execute(
            reseal_flags(
                """
                SELECT *
                FROM unnest($1::text[], $2::int[], $3::bigint[], $4::text[])
                    AS n (recipient_id, revision, sequence, flags)
                """
            ),
            *_columns(flags),
        )


def reseal_values(source: str) -> str:
    """`source` selects the fields of Values, each registration once. A value is only ever replaced by a value."""
    return f"""
        UPDATE recipient AS r
        SET eligibility = coalesce(n.eligibility, r.eligibility),
            payment = CASE WHEN r.payment IS NOT NULL THEN coalesce(n.payment, r.payment) END,
            contact = CASE WHEN r.contact IS NOT NULL THEN coalesce(n.contact, r.contact) END,
            values_resealed_by = n.sequence,
            values_resealed_revision = n.revision
        FROM ({source}) AS n
        WHERE r.recipient_id = n.recipient_id AND r.registration_revision = n.revision AND n.revision > 0
            AND n.sequence >= coalesce(r.values_resealed_by, 0)
    """


def reseal_flags(source: str) -> str:
    """`source` selects the fields of FlagValues, each flag revision once."""
    return f"""
        UPDATE recipient AS r
        SET flags = n.flags, flags_resealed_by = n.sequence, flags_resealed_revision = n.revision
        FROM ({source}) AS n
        WHERE r.recipient_id = n.recipient_id AND r.flag_revision = n.revision AND n.revision > 0
            AND n.sequence >= coalesce(r.flags_resealed_by, 0)
    """


def _recipient(row: asyncpg.Record) -> Recipient:
    recipient_id, flag_revision, flags, *registered = row
    return Recipient(recipient_id, flag_revision, flags, Registered(*registered) if registered[0] else None)


def _flat(recipient: Recipient) -> tuple[Any, ...]:
    return (*recipient[:3], *(recipient.registered or _UNREGISTERED))


def _columns(rows: Iterable[Sequence[Any]]) -> list[tuple[Any, ...]]:
    return list(zip(*rows, strict=True))


def _refuse_going_back(book: Rulebook, newest: Mapping[str, Any]) -> None:
    """`newest`: the programmes in force so far, in full, by name."""
    contents = book.contents()
    if gone := sorted(newest.keys() - contents.keys()):
        raise RulesGoBack(
            f"the rules of {', '.join(gone)} are missing, and decisions under them are in force",
            hint="a programme is never deleted: raise its version and set `closed: true`",
        )
    for name, known in newest.items():
        now = contents[name]
        if now["version"] < known["version"]:
            raise RulesGoBack(
                f"programme {name} is at version {now['version']}, decisions were made under {known['version']}",
                hint="to return to earlier rules, give them a new, higher version",
            )
        if now["version"] == known["version"] and now != known:
            raise RulesGoBack(
                f"the rules of {name} differ from those under which version {now['version']} decided",
                hint=f"raise `version` in {name}.yaml to {now['version'] + 1}",
            )
