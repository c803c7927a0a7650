"""The parts of the portal, put together."""

from collections.abc import Awaitable, Callable

from services.portal.handler import INPUTS, handle
from services.portal.settings import PortalSettings
from shared.privacy.keyring import Keyring
from shared.runtime.emit import Outbox
from shared.runtime.service import Service
from shared.runtime.stage import Stage


def build(settings: PortalSettings) -> Callable[[Outbox, Keyring], Awaitable[Service]]:
    """What `shared.runtime.service.run` needs to start this service."""

    async def parts(outbox: Outbox, keyring: Keyring) -> Service:
        return Service(Stage("portal", INPUTS, handle))

    return parts
