"""The parts of notify, put together."""

from collections.abc import Awaitable, Callable

from services.notify.api import router
from services.notify.carriers.whatsapp import WhatsApp
from services.notify.handler import INPUTS, Handler
from services.notify.pace import Pace
from services.notify.settings import NotifySettings
from services.notify.wording import load_names
from services.notify.worker import Sender, Settler, workers
from shared.privacy.keyring import Keyring
from shared.runtime.emit import Outbox
from shared.runtime.service import Service
from shared.runtime.stage import Stage


def build(settings: NotifySettings) -> Callable[[Outbox, Keyring], Awaitable[Service]]:
    """What `shared.runtime.service.run` needs to start this service."""

    async def parts(outbox: Outbox, keyring: Keyring) -> Service:
        carrier = WhatsApp(
            str(settings.carrier_url),
            settings.carrier_token.get_secret_value(),
            settings.carrier_phone_number_id,
            timeout_s=settings.carrier_timeout_s,
            at_once=settings.carrier_at_once,
        )
        sender = Sender(
            outbox,
            keyring,
            carrier,
            load_names(),
            Pace(settings.carrier_rate),
            settings.carrier_at_once,
            settings.carrier_timeout_s,
            settings.give_up_after_s,
        )
        webhooks = router(
            outbox,
            settings.carrier_secret.get_secret_value(),
            settings.carrier_verify_token.get_secret_value(),
        )
        return Service(
            Stage("notify", INPUTS, Handler(settings.quiet_time_s)),
            workers(sender, Settler(outbox)),
            (webhooks,),
            sender.close,
        )

    return parts
