"""`python -m services.monitor`: counts every event in windows, and raises alerts."""

import sys

from pydantic import ValidationError

from services.monitor.service import run
from services.monitor.settings import MonitorSettings
from shared.errors import SalurError
from shared.settings import variable


def main() -> None:
    try:
        settings = MonitorSettings()
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False)
        named = "; ".join(f"{variable(str((p['loc'] or ('alert_webhook',))[0]))}: {p['msg']}" for p in problems)
        sys.exit(f"monitor cannot start: {named}")
    except SalurError as error:
        sys.exit(f"monitor cannot start: {error.message}. {error.hint}")
    run(settings)


if __name__ == "__main__":
    main()
