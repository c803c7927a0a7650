"""`python -m services.payout`."""

import sys

from services.payout.service import build_with
from services.payout.settings import PayoutSettings
from shared.errors import SalurError
from shared.privacy.keyring import Keyring
from shared.runtime.service import run


def main() -> None:
    """Runs until SIGTERM. Ends with 1 when the configuration or the keys are not in order."""
    settings = PayoutSettings()
    try:
        keyring = Keyring.load(settings.keys, only={"payment", "recovery"})
        build = build_with(settings)
    except SalurError as error:
        sys.exit(f"payout: {error.message}. {error.hint}")
    run("payout", settings, keyring, build)


if __name__ == "__main__":
    main()
