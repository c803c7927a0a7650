"""`python -m services.notify`: tells recipients of decisions and payouts."""

import sys

from pydantic import ValidationError

from services.notify.service import build
from services.notify.settings import NotifySettings
from shared.errors import SalurError
from shared.privacy.keyring import Keyring
from shared.runtime.service import run


def main() -> None:
    try:
        settings = NotifySettings()
        keyring = Keyring.load(settings.keys, only=("contact", "access", "recovery"))
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False)
        named = "; ".join(f"SALUR_{str(p['loc'][0]).upper()}: {p['msg']}" for p in problems)
        sys.exit(f"notify cannot start: {named}")
    except SalurError as error:
        sys.exit(f"notify cannot start: {error.message}. {error.hint}")
    run("notify", settings, keyring, build(settings))


if __name__ == "__main__":
    main()
