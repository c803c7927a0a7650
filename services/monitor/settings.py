"""What the monitor reads from its environment."""

from typing import Self

from pydantic import Field, HttpUrl, SecretStr, model_validator

from shared.settings import ServiceSettings


class MonitorSettings(ServiceSettings):
    """Beside the common settings. `nice` is 10 by itself: money goes before watching it."""

    nice: int = 10
    alert_webhook: HttpUrl | None = Field(default=None, description="Where alerts are posted to; none: nowhere")
    alert_webhook_secret: SecretStr = Field(default=SecretStr(""), description="Signs what is posted")
    alert_every_s: float = Field(default=10.0, gt=0, le=15, description="How often the rules are looked at")
    gather_s: float = Field(default=2.0, gt=0, le=30, description="Events are counted in bundles of so long")

    @model_validator(mode="after")
    def _signed(self) -> Self:
        if self.alert_webhook and not self.alert_webhook_secret.get_secret_value():
            raise ValueError("SALUR_ALERT_WEBHOOK_SECRET must be set where SALUR_ALERT_WEBHOOK is")
        return self
