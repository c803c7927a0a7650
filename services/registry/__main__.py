"""`python -m services.registry`: takes registrations and flags, and answers each."""

from functools import partial

from services.registry.handler import SERVICE
from services.registry.service import SHARES, build
from services.registry.settings import Settings
from shared.privacy import Keyring
from shared.runtime import run, starting


def main() -> None:
    with starting(SERVICE):
        settings = Settings()
        keyring = Keyring.load(settings.keys, only=SHARES)
    run(SERVICE, settings, keyring, partial(build, settings))


if __name__ == "__main__":
    main()
