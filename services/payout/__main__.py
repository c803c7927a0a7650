"""`python -m services.payout`: cycles, orders, and the bank."""

from services.payout.service import build_with
from services.payout.settings import PayoutSettings
from shared.privacy.keyring import Keyring
from shared.runtime import run, starting


def main() -> None:
    with starting("payout"):
        settings = PayoutSettings()
        keyring = Keyring.load(settings.keys, only=("payment", "recovery"))
        build = build_with(settings)
    run("payout", settings, keyring, build)


if __name__ == "__main__":
    main()
