"""`python -m services.portal`: shows recipients, officers and the public what the stages say."""

import sys

from pydantic import ValidationError

from services.portal.service import SHARES, build
from services.portal.settings import PortalSettings
from shared.errors import SalurError
from shared.privacy.keyring import Keyring
from shared.runtime.service import run


def main() -> None:
    try:
        settings = PortalSettings()
        keyring = Keyring.load(settings.keys, only=SHARES)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False)
        named = "; ".join(f"SALUR_{str(p['loc'][0]).upper()}: {p['msg']}" for p in problems)
        sys.exit(f"portal cannot start: {named}")
    except SalurError as error:
        sys.exit(f"portal cannot start: {error.message}. {error.hint}")
    run("portal", settings, keyring, build(settings))


if __name__ == "__main__":
    main()
