"""The payout service put together."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from services.payout import api, configuration
from services.payout.channels.bulk_bank import BulkBank
from services.payout.handler import handle
from services.payout.settings import PayoutSettings
from services.payout.sweep import Sweep
from services.payout.worker import BankWorker
from shared.events import EligibilityDecided
from shared.privacy.keyring import Keyring
from shared.runtime.emit import Outbox
from shared.runtime.service import Service
from shared.runtime.stage import Stage
from shared.runtime.worker import Worker

SWEEP_PAUSE_S = 0.2
BANK_PAUSE_S = 0.25
INQUIRY_PAUSE_S = 0.25

Turn: TypeAlias = Callable[[], Awaitable[int]]


def build_with(settings: PayoutSettings) -> Callable[[Outbox, Keyring], Awaitable[Service]]:
    """Reads the configuration at once. Raises ConfigurationInvalid."""
    known = configuration.load(settings.payout_programmes, settings.payout_banks, settings.payout_reasons)

    async def build(outbox: Outbox, keyring: Keyring) -> Service:
        sweep = Sweep(outbox, known, settings.sweep_decisions_max)
        enough = settings.sweep_decisions_max // 4
        workers = [Worker("sweep", gathering(sweep.turn, enough, SWEEP_PAUSE_S), SWEEP_PAUSE_S)]
        channels = []
        for name, bank in known.banks.items():
            channel = BulkBank(name, bank, settings.bank_url, settings.bank_token.get_secret_value())
            channels.append(channel)
            paying = BankWorker(name, bank, channel, outbox, keyring, known)
            pay = gathering(paying.pay, bank.orders_a_call // 2, BANK_PAUSE_S)
            workers += [Worker("bank", pay, BANK_PAUSE_S) for _ in range(bank.calls_at_once)]
            workers.append(Worker("inquiry", paying.inquire, INQUIRY_PAUSE_S))

        async def close() -> None:
            for channel in channels:
                await channel.close()

        return Service(
            Stage("payout", (EligibilityDecided.TYPE,), handle),
            tuple(workers),
            (api.router(outbox, known, settings.officer_token),),
            close,
        )

    return build


def gathering(turn: Turn, enough: int, pause_s: float) -> Turn:
    """A turn that moved less than `enough` is followed by a pause, so that the next one has more to do at once."""

    async def unhurried() -> int:
        moved = await turn()
        if 0 < moved < enough:
            await asyncio.sleep(pause_s)
        return moved

    return unhurried
