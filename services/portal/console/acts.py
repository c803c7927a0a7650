"""Acts of officers at the services that own what is acted on: under the officer's own token, over HTTP."""

from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

import aiohttp

from services.portal.console.sessions import Session
from services.portal.console.settings import ConsoleSettings
from shared.errors import SalurError, Trouble
from shared.settings import variable

ANSWER_MAX_S: Final = 30.0
ADDRESSES: Final = {
    "registry": "registry_url",
    "eligibility": "eligibility_url",
    "payout": "payout_url",
    "notify": "notify_url",
    "portal": "portal_private_url",
}
"""The setting with each stage's own address; the portal's pages, which browsers reach, are elsewhere."""


class ServiceAway(Trouble):
    """The service that owns this does not answer."""


class Refused(SalurError):
    """The service says no. `code` tells its reasons apart, `answer` is what it said."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.http_status = status if status < 500 else 502
        self.code = code


@dataclass(slots=True)
class Acts:
    """One a process."""

    settings: ConsoleSettings
    _session: aiohttp.ClientSession | None = field(default=None)

    async def propose(self, session: Session, programme: str, period: str, budget_idr: int) -> dict[str, Any]:
        """The cycle. Raises Refused, ServiceAway, as all here."""
        body = {"programme": programme, "period": period, "budget_idr": budget_idr}
        return await self._post(session, "payout", "/cycles", body)

    async def approve(self, session: Session, cycle: str) -> dict[str, Any]:
        return await self._post(session, "payout", f"/cycles/{quote(cycle, safe='')}/approve", {})

    async def register(self, session: Session, fields: dict[str, Any]) -> dict[str, Any]:
        """`fields` with the form's `id`. The answer has the submission's own id."""
        return await self._post(session, "registry", "/registrations", fields)

    async def replay(
        self, session: Session, service: str, letter: str, place: tuple[int, int] | None
    ) -> dict[str, Any]:
        """`place`: partition and sequence of the letter, which spare the service a search."""
        near = f"?partition={place[0]}&sequence={place[1]}" if place else ""
        return await self._post(session, service, f"/dead-letters/{quote(letter, safe='')}/replay{near}", None)

    async def close(self) -> None:
        if self._session:
            await self._session.close()

    async def _post(self, session: Session, service: str, path: str, body: Any) -> dict[str, Any]:
        setting = ADDRESSES.get(service)
        base: str | None = getattr(self.settings, setting) if setting else None
        if base is None:
            hint = f"set {variable(setting)}" if setting else ""
            raise ServiceAway(f"this portal does not know where {service} is", hint=hint)
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_MAX_S))
        headers = {"Authorization": f"Bearer {session.access_token}"}
        try:
            async with self._session.post(base + path, json=body, headers=headers, allow_redirects=False) as response:
                status, answer = response.status, await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise ServiceAway(f"{service} does not answer ({type(error).__name__})") from None
        if status >= 400 or not isinstance(answer, dict):
            told = answer if isinstance(answer, dict) else {}
            raise Refused(status, str(told.get("code", _code(told))), str(told.get("error", f"{service}: {status}")))
        return answer


def _code(answer: dict[str, Any]) -> str:
    """What a service's validation says names fields only."""
    problems = answer.get("detail")
    return "Invalid" if isinstance(problems, list) else "Other"
