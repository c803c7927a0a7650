"""The parts of the portal, put together."""

from collections.abc import Awaitable, Callable

from services.portal.aid import desk, pages
from services.portal.console.parts import make_console
from services.portal.ends import ends_of
from services.portal.figures import pages as figures
from services.portal.figures import publish
from services.portal.figures.editions import Editions
from services.portal.handler import INPUTS, handle
from services.portal.lookup import Lookup
from services.portal.lost import lost
from services.portal.settings import PortalSettings
from services.portal.texts import catalogue
from services.portal.web import Door
from shared.events.registrations import RecipientRegistered
from shared.officers import Officer
from shared.postgres import open_pool
from shared.privacy.keyring import Keyring
from shared.runtime.emit import Outbox
from shared.runtime.service import Service
from shared.runtime.stage import Stage

SHARES = ("particulars", "access", "recovery")
"""Of the keys: it opens particulars for their own person, and seals codes and dead letters."""


READING_CONNECTIONS = 6
"""Pages that are read wait for each other, and never the stage for them."""
AREAS_DIFFER = {"plan_cache_mode": "force_custom_plan", "statement_timeout": "8000"}
"""The right plan for a village is a wrong one for the country: each query is planned for its area (seen with a million
recipients: 2 ms and 2 s)."""


def build(settings: PortalSettings) -> Callable[[Outbox, Keyring], Awaitable[Service]]:
    """What `shared.runtime.service.run` needs to start this service."""

    async def parts(outbox: Outbox, keyring: Keyring) -> Service:
        lookup = Lookup(str(settings.lookup_url), settings.lookup_token.get_secret_value())
        registrations = ends_of(settings, outbox, (RecipientRegistered.TYPE,))
        secret = settings.portal_secret.get_secret_value().encode()
        codes = desk.Desk(outbox, keyring, secret, settings.limits, registrations)
        door = Door(settings.portal_secure, settings.portal_proxies)
        press = publish.Press(
            outbox.pool, settings.figures_area, settings.days, codes.secret, ends_of(settings, outbox, INPUTS)
        )
        workers = (*desk.workers(codes), publish.worker(press))

        async def issue_code(recipient_id: str, officer: Officer) -> str:
            async with outbox.transaction() as transaction:
                return await codes.issue_by_hand(transaction.tx, recipient_id, officer.signature)

        reading = await open_pool(
            settings.url("portal"),
            "portal",
            instance=settings.instance,
            size_max=READING_CONNECTIONS,
            more=AREAS_DIFFER,
        )
        aid = pages.router(pages.Pages(codes, lookup, catalogue(), door, reading))
        open_figures = figures.router(figures.FigurePages(Editions(reading), catalogue()))
        console = make_console(reading, settings, door=door, find_nik=lookup.recipient_id, issue_code=issue_code)

        async def close() -> None:
            await lookup.close()
            await console.acts.close()
            reading.terminate()

        public = (aid, open_figures, *console.routers)
        stage = Stage("portal", INPUTS, handle)
        port, pages_lost = settings.portal_port, lost(console.pages)
        return Service(stage, workers, close=close, public=public, public_port=port, lost=pages_lost)

    return parts
