"""Dead letters over HTTP: every service lets an officer of the centre put one of its own back."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel

from shared.events.topics import Service
from shared.officers import Access, Officer
from shared.privacy.keyring import Keyring
from shared.runtime.replay import State, replay_one
from shared.settings import KafkaSettings

LetterId = Annotated[str, Path(pattern=r"^[\x21-\x7e]{1,200}$")]
Number = Annotated[int | None, Query(ge=0, lt=2**62)]


class Replayed(BaseModel):
    """What became of the letter; `replayed` and `already` mean that the service has it again."""

    id: str
    service: Service
    state: State
    detail: str


def router(service: Service, settings: KafkaSettings, keyring: Keyring, access: Access) -> APIRouter:
    """`POST /dead-letters/{id}/replay`, for the roles `approve` and `audit` of the centre.

    A dead letter may be anybody's message, so no region's officer may touch it. `partition` and `sequence` say where in
    the dead-letter topic it stands; they only spare a search.
    """
    routes = APIRouter(prefix="/dead-letters", tags=["dead letters"])
    one_at_a_time = asyncio.Lock()  # so that two officers who press at once put it back once

    @routes.post("/{letter_id}/replay")
    async def replay(
        letter_id: LetterId,
        officer: Annotated[Officer, Depends(access.officer("approve", "audit"))],
        partition: Number = None,
        sequence: Number = None,
    ) -> Replayed:
        officer.need_area("")
        near = None if partition is None or sequence is None else (partition, sequence)
        async with one_at_a_time:
            outcome = await replay_one(settings, keyring, service, letter_id, by=officer.signature, near=near)
        return Replayed(id=outcome.id, service=outcome.service, state=outcome.state, detail=outcome.detail)

    return routes
