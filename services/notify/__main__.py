"""`python -m services.notify`: tells recipients of decisions and payouts."""

from services.notify.service import build
from services.notify.settings import NotifySettings
from shared.privacy.keyring import Keyring
from shared.runtime import run, starting


def main() -> None:
    with starting("notify"):
        settings = NotifySettings()
        keyring = Keyring.load(settings.keys, only=("contact", "access", "recovery"))
    run("notify", settings, keyring, build(settings))


if __name__ == "__main__":
    main()
