"""`python -m services.lookup`: the one process beside the registry that can make a recipient's id from a NIK.

It holds the identity key and nothing else, has no database, and answers whoever shows its token.
"""

import asyncio
import signal
import sys

import structlog
import uvloop
from pydantic import ValidationError

from services.lookup.allowance import Allowance
from services.lookup.api import router
from services.lookup.settings import LookupSettings
from shared.errors import SalurError
from shared.privacy.keyring import Keyring
from shared.runtime.http import create_app, serve
from shared.telemetry import logs

log = structlog.get_logger()


def main() -> None:
    try:
        settings = LookupSettings()
        keyring = Keyring.load(settings.keys, only=("identity",))
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False)
        named = "; ".join(f"SALUR_{str(p['loc'][0]).upper()}: {p['msg']}" for p in problems)
        sys.exit(f"lookup cannot start: {named}")
    except SalurError as error:
        sys.exit(f"lookup cannot start: {error.message}. {error.hint}")
    logs.configure("lookup", settings.instance, settings.log_level)
    uvloop.run(_run(settings, keyring))


async def _run(settings: LookupSettings, keyring: Keyring) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    asking = router(
        keyring, settings.lookup_token.get_secret_value(), Allowance(settings.lookup_rate, settings.lookup_burst)
    )
    log.info("started")
    await serve(create_app("lookup", list, (asking,)), settings.http_host, settings.http_port, stopping)
    log.info("stopped")


if __name__ == "__main__":
    main()
