"""How eligibility is put together."""

from services.eligibility import rulebook, store
from services.eligibility.casefile import Office
from services.eligibility.handler import Handler
from services.eligibility.metrics import count_decisions
from services.eligibility.settings import EligibilitySettings
from services.eligibility.worker import Sweep
from shared.events.registrations import RecipientFlagged, RecipientRegistered, RecipientResealed
from shared.privacy.keyring import Keyring
from shared.runtime.emit import Outbox
from shared.runtime.service import Service
from shared.runtime.stage import Stage
from shared.runtime.worker import Worker

INPUTS = (RecipientRegistered.TYPE, RecipientFlagged.TYPE, RecipientResealed.TYPE)


async def build(outbox: Outbox, keyring: Keyring, settings: EligibilitySettings | None = None) -> Service:
    """Raises RulesInvalid for rules that cannot be used, RulesGoBack for those that came before the ones in force."""
    settings = settings or EligibilitySettings()
    outbox.counted = count_decisions
    rules = rulebook.load(settings.programmes)
    async with outbox.transaction() as transaction:
        rulebook_id = await store.take_rulebook(transaction.tx, rules)
    office = Office(rules, rulebook_id, keyring, settings.zone)
    sweep = Sweep(office, outbox, settings.sweep_rows_max)
    return Service(
        Stage("eligibility", INPUTS, Handler(office).handle),
        workers=(Worker("sweep", sweep.turn, settings.sweep_pause_s),),
    )
