"""What the console reads from its environment, beside what every service reads about officers' tokens."""

from pydantic import Field, SecretStr

from shared.settings import OfficerSettings


class ConsoleSettings(OfficerSettings):
    """Prefix SALUR_. Addresses without a slash at the end; times in seconds."""

    portal_url: str = Field(default="http://127.0.0.1:8105", description="This portal's own address in browsers")
    oidc_client_id: str = "salur-console"
    oidc_client_secret: SecretStr = SecretStr("")
    oidc_scopes: str = "openid profile"
    console_idle_s: int = Field(default=15 * 60, ge=60)
    console_life_s: int = Field(default=8 * 3600, ge=60)
    console_searches_hour: int = Field(default=120, ge=1, description="Searches by NIK an hour and officer")
    registry_url: str | None = None
    eligibility_url: str | None = None
    payout_url: str | None = None
    notify_url: str | None = None
    portal_private_url: str | None = Field(default=None, description="This portal's port with metrics, for itself")
