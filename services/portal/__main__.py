"""`python -m services.portal`: shows recipients, officers and the public what the stages say."""

from services.portal.service import SHARES, build
from services.portal.settings import PortalSettings
from shared.privacy.keyring import Keyring
from shared.runtime import run, starting


def main() -> None:
    with starting("portal"):
        settings = PortalSettings()
        keyring = Keyring.load(settings.keys, only=SHARES)
    run("portal", settings, keyring, build(settings))


if __name__ == "__main__":
    main()
