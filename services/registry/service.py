"""The parts of the registry, put together."""

from services.registry import resealing_api
from services.registry.api import make_router
from services.registry.fingerprint import Fingerprint
from services.registry.handler import SERVICE, Handler
from services.registry.reading import Reader
from services.registry.reference import reference
from services.registry.settings import Settings
from services.registry.settling import Settling
from services.registry.sources import Sources
from shared.officers import Access, Verifier
from shared.privacy import Keyring
from shared.runtime import Outbox, Service, Stage

SHARES = ("identity", "submission", "eligibility", "payment", "contact", "recovery")
"""The keys that the registry needs: it opens submissions, and seals for all later stages."""


async def build(settings: Settings, outbox: Outbox, keyring: Keyring) -> Service:
    """Raises SourcesInvalid, KeyMissing."""
    sources = Sources.load(settings.sources)
    return Service(
        stage=Stage(SERVICE, sources.topics(), make_handler(sources, keyring).handle),
        routers=(
            make_router(outbox, keyring, sources, Fingerprint(keyring), Access(Verifier(settings))),
            resealing_api.router(outbox, keyring, settings.reseal_token),
        ),
    )


def make_handler(sources: Sources, keyring: Keyring) -> Handler:
    """Raises KeyMissing."""
    fingerprint = Fingerprint(keyring)
    return Handler(Reader(keyring, sources, reference(), fingerprint), Settling(keyring, fingerprint))
