"""What the portal reads from its environment."""

from pydantic import Field, HttpUrl, SecretStr

from services.portal.console.settings import ConsoleSettings
from services.portal.store.access import Limits
from shared.settings import ServiceSettings


class PortalSettings(ServiceSettings, ConsoleSettings):
    """Beside the common settings. Secrets have no default."""

    fetch_bytes_min: int = Field(default=1, ge=1, description="Whatever comes: most of its topics are quiet")
    fetch_wait_ms: int = Field(default=500, ge=1, description="And no money waits for it")
    portal_secret: SecretStr = Field(
        min_length=16, description="Keys the hashes of codes, addresses and forms; the same for all instances"
    )
    portal_port: int = Field(default=0, ge=0, le=65535, description="Of all pages; metrics and readiness are not there")
    portal_secure: bool = Field(default=True, description="Cookies by https only; false for a demo on one machine")
    portal_proxies: int = Field(default=0, ge=0, le=5, description="Proxies in front that add to X-Forwarded-For")
    lookup_url: HttpUrl = Field(description="Where the look-up process answers")
    lookup_token: SecretStr = Field(min_length=16, description="What it is shown")
    code_requests_address_hour: int = Field(default=60, ge=1, description="Requests for a code an hour and address")
    code_requests_network_hour: int = Field(default=600, ge=1, description="Requests for a code an hour and IPv6 /48")
    code_requests_hour: int = Field(default=5, ge=1, description="Requests for a code an hour and recipient")
    code_requests_day: int = Field(default=10, ge=1, description="Requests for a code a day and recipient")
    figures_area: str = Field(
        default="7604",
        pattern=r"^(\d{2}|\d{4})?$",
        description="What the open figures are about: a regency, a province",
    )
    figures_days: str = Field(
        default="1,15",
        pattern=r"^(\d{1,2}(,\d{1,2})*)?$",
        description="Days of the month at which figures are published, at 2 o'clock WITA; none: by command only",
    )

    @property
    def days(self) -> tuple[int, ...]:
        return tuple(int(text) for text in self.figures_days.split(",") if text)

    @property
    def limits(self) -> Limits:
        return Limits(
            self.code_requests_address_hour,
            self.code_requests_hour,
            self.code_requests_day,
            self.code_requests_network_hour,
        )
