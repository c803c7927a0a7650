"""`python -m services.registry`."""

from functools import partial

from services.registry.handler import SERVICE
from services.registry.service import SHARES, build
from services.registry.settings import Settings
from shared.privacy import Keyring
from shared.runtime import run


def main() -> None:
    settings = Settings()
    run(SERVICE, settings, Keyring.load(only=SHARES), partial(build, settings))


if __name__ == "__main__":
    main()
