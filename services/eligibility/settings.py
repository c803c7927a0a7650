"""What eligibility reads from the environment, beside what every service does."""

from datetime import timedelta, timezone
from pathlib import Path

from pydantic import Field

from shared.settings import ServiceSettings


class EligibilitySettings(ServiceSettings):
    """`programmes`: a folder of YAML files instead of those that come with Salur. `utc_offset_hours`: where the
    recipients live, so that a birthday begins at their midnight: 7 is WIB, 8 WITA, 9 WIT."""

    programmes: Path | None = None
    utc_offset_hours: int = Field(default=8, ge=-12, le=14)
    sweep_rows_max: int = Field(default=500, ge=1, le=5_000)
    sweep_pause_s: float = Field(default=5.0, gt=0)

    @property
    def zone(self) -> timezone:
        return timezone(timedelta(hours=self.utc_offset_hours))
