"""`python -m services.monitor`: counts every event in windows, and raises alerts."""

from services.monitor.service import run
from services.monitor.settings import MonitorSettings
from shared.runtime.process import starting


def main() -> None:
    with starting("monitor"):
        settings = MonitorSettings()
    run(settings)


if __name__ == "__main__":
    main()
