"""The payout service put together."""

import os
from collections.abc import Awaitable, Callable
from functools import partial

from services.payout import api, configuration, metrics
from services.payout.channels.bulk_bank import BulkBank
from services.payout.doubts import DoubtWorker
from services.payout.gathering import Gathering, gathering
from services.payout.handler import INPUTS, handle
from services.payout.settings import PayoutSettings
from services.payout.store import cycles, doubts, orders, payouts
from services.payout.sweep import Sweep
from services.payout.worker import BankWorker
from shared.officers import Access, Verifier
from shared.privacy.keyring import Keyring
from shared.runtime.emit import Outbox
from shared.runtime.service import Service
from shared.runtime.stage import Stage
from shared.runtime.worker import Worker

SWEEP_PAUSE_S = 0.2
BANK_PAUSE_S = 0.25
INQUIRY_PAUSE_S = 0.25
DOUBTS_PAUSE_S = 1.0
MEASURE_PAUSE_S = 10.0
MEASURED_MAX = 10_000
FOLD_PAUSE_S = 5.0
FOLDED_OVER = 500
FOLDED_MAX = 20_000


async def _fold(outbox: Outbox) -> int:
    await cycles.fold_tally(outbox.pool, FOLDED_OVER, FOLDED_MAX)
    return 0


async def _measure(outbox: Outbox) -> int:
    metrics.show_orders(await orders.unfinished(outbox.pool, MEASURED_MAX))
    metrics.IN_DOUBT.set(await doubts.in_doubt(outbox.pool, MEASURED_MAX))
    return 0


def build_with(settings: PayoutSettings) -> Callable[[Outbox, Keyring], Awaitable[Service]]:
    """Reads the configuration at once. Raises ConfigurationInvalid, as what is built does."""
    known = configuration.load(settings.payout_programmes, settings.payout_banks, settings.payout_reasons)
    ways = {name: settings.way_to(name, bank, os.environ) for name, bank in known.banks.items()}

    async def build(outbox: Outbox, keyring: Keyring) -> Service:
        configuration.fits_unfinished(known, await payouts.unfinished_keys(outbox.pool))
        outbox.counted = metrics.count_payouts
        metrics.announce(known)
        sweep = Sweep(outbox, known, settings.sweep_decisions_max)
        enough = settings.sweep_decisions_max // 4
        workers = [
            Worker("sweep", gathering(sweep.turn, enough, SWEEP_PAUSE_S), SWEEP_PAUSE_S),
            Worker("fold", partial(_fold, outbox), FOLD_PAUSE_S),
            Worker("measure", partial(_measure, outbox), MEASURE_PAUSE_S),
        ]
        channels = []
        for name, bank in known.banks.items():
            channel = BulkBank(name, bank, *ways[name])
            channels.append(channel)
            claims = Gathering(bank.orders_a_call // 2, BANK_PAUSE_S)
            paying = BankWorker(name, bank, channel, outbox, keyring, known, claims)
            workers += [Worker("bank", paying.pay, BANK_PAUSE_S) for _ in range(bank.calls_at_once)]
            workers.append(Worker("inquiry", paying.inquire, INQUIRY_PAUSE_S))
            workers.append(Worker("doubts", DoubtWorker(name, bank, channel, outbox, known).turn, DOUBTS_PAUSE_S))

        async def close() -> None:
            for channel in channels:
                await channel.close()

        return Service(
            Stage("payout", INPUTS, handle),
            tuple(workers),
            (api.router(outbox, known, settings.officer_token, Access(Verifier(settings))),),
            close,
        )

    return build
