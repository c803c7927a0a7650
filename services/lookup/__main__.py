"""`python -m services.lookup`: the one process beside the registry that can make a recipient's id from a NIK.

It holds the identity key and nothing else, has no database, and answers whoever shows its token.
"""

import asyncio

import structlog

from services.lookup.api import router
from services.lookup.settings import LookupSettings
from shared.allowance import Allowance
from shared.privacy.keyring import Keyring
from shared.runtime.http import create_app, serve
from shared.runtime.process import run_until_told, starting

log = structlog.get_logger()


def main() -> None:
    with starting("lookup"):
        settings = LookupSettings()
        keyring = Keyring.load(settings.keys, only=("identity",))
    run_until_told("lookup", settings, lambda stopping: _run(settings, keyring, stopping))


async def _run(settings: LookupSettings, keyring: Keyring, stopping: asyncio.Event) -> None:
    asking = router(
        keyring, settings.lookup_token.get_secret_value(), Allowance(settings.lookup_rate, settings.lookup_burst)
    )
    log.info("started")
    await serve(create_app("lookup", list, (asking,)), settings.http_host, settings.http_port, stopping)
    log.info("stopped")


if __name__ == "__main__":
    main()
