"""`python -m services.eligibility`: decides who may receive what, and why."""

from functools import partial

from services.eligibility.service import build
from services.eligibility.settings import EligibilitySettings
from shared.privacy.keyring import Keyring
from shared.runtime import run, starting


def main() -> None:
    with starting("eligibility"):
        settings = EligibilitySettings()
        keyring = Keyring.load(settings.keys, only=("eligibility", "particulars", "recovery"))
    run("eligibility", settings, keyring, partial(build, settings=settings))


if __name__ == "__main__":
    main()
