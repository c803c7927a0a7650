"""Sealing anew over HTTP, for `salur keys reseal`: the registry alone opens every value and knows who keeps a copy."""

import hmac
from collections.abc import Callable
from typing import Final

import structlog
from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from services.registry import resealing_store, store
from services.registry.resealing import PartName, Reason, reseal
from shared.clock import now
from shared.errors import SalurError
from shared.events import first_cause
from shared.events.envelope import EventId
from shared.events.model import RecipientId
from shared.officers.access import bearer
from shared.privacy import Keyring
from shared.runtime import Outbox

log = structlog.get_logger()

RECIPIENTS_MAX: Final = 1000


class NotAKeeper(SalurError):
    """The token is missing or wrong."""

    http_status = 401


class Wanted(BaseModel):
    """Whose values are to be sealed anew. `act` names the request: the events have it as their cause."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    act: EventId
    recipients: list[RecipientId] = Field(min_length=1, max_length=RECIPIENTS_MAX)


class Left(BaseModel):
    """A value that stays as it is."""

    recipient: str
    part: PartName
    reason: Reason


class Done(BaseModel):
    """`told`: recipients whose values were told once more, `resealed`: those of them that had older keys here."""

    told: int
    resealed: int
    unknown: list[str]
    left: list[Left]


def router(outbox: Outbox, keyring: Keyring, token: SecretStr | None) -> APIRouter:
    """`POST /recipients/reseal`. Without `token` nobody is let in."""
    routes = APIRouter(prefix="/recipients", tags=["keys"])

    @routes.post("/reseal", dependencies=[Depends(_keeper_with(token))])
    async def reseal_recipients(wanted: Wanted) -> Done:
        return await reseal_all(outbox, keyring, wanted)

    return routes


async def reseal_all(outbox: Outbox, keyring: Keyring, wanted: Wanted) -> Done:
    """Seals what is kept of these people with the keys in use, and tells each of them, in one transaction."""
    asked = sorted(set(wanted.recipients))
    async with outbox.transaction() as transaction:
        tx = transaction.tx
        known = await resealing_store.lock_known(tx, asked)
        kept = [one for one in await resealing_store.kept_of(tx, known) if one.revision or one.flag_revision]
        flags = await store.flags(tx, [one.recipient_id for one in kept if one.flag_revision])
        done = reseal(keyring, kept, flags, first_cause(wanted.act, "salur keys reseal"), now())
        if done.changed:
            await resealing_store.replace_sealed(tx, done.changed)
        transaction.emit(done.events)
    known_here = {one.recipient_id for one in kept}
    log.info("sealed anew", told=len(done.events), resealed=len(done.changed), left=len(done.not_resealed))
    return Done(
        told=len(done.events),
        resealed=len(done.changed),
        unknown=[one for one in asked if one not in known_here],
        left=[Left(recipient=one.recipient, part=one.part, reason=one.reason) for one in done.not_resealed],
    )


def _keeper_with(token: SecretStr | None) -> Callable[[Request], None]:
    def keeper(request: Request) -> None:
        given = bearer(request.headers.get("authorization")) or ""
        if token is None or not hmac.compare_digest(given.encode(), token.get_secret_value().encode()):
            raise NotAKeeper("the token of who keeps the keys is missing or wrong", hint="set SALUR_RESEAL_TOKEN")

    return keeper
