"""What notify reads from its environment."""

from pydantic import Field, HttpUrl, SecretStr

from shared.settings import ServiceSettings


class NotifySettings(ServiceSettings):
    """Beside the common settings. Secrets have no default: a webhook that anybody can sign is worth nothing."""

    fetch_bytes_min: int = Field(default=1, ge=1, description="Whatever comes: most of its topics are quiet")
    fetch_wait_ms: int = Field(default=500, ge=1, description="And no money waits for it")
    carrier_url: HttpUrl = Field(
        default=HttpUrl("https://graph.facebook.com"), description="Where messages are posted to"
    )
    carrier_token: SecretStr = Field(min_length=1, description="Bearer token of the business account")
    carrier_secret: SecretStr = Field(min_length=1, description="The app's secret: signs webhooks")
    carrier_verify_token: SecretStr = Field(
        default=SecretStr(""), description="What the carrier shows when the webhook is set up; empty: never verified"
    )
    carrier_phone_number_id: str = Field(
        default="106540352242922", pattern=r"^\d{1,20}$", description="The business number that messages come from"
    )
    carrier_rate: float = Field(default=80.0, ge=0, description="Messages a second and process; 0: no limit")
    carrier_timeout_s: float = Field(default=10.0, gt=0, le=120, description="A send without an answer is unknown then")
    carrier_at_once: int = Field(default=256, ge=1, le=2000, description="Sends in flight")
    quiet_time_s: float = Field(default=5.0, ge=0, description="News waits so long for more of the same")
    give_up_after_s: float = Field(
        default=86_400.0, gt=0, description="A message that was refused for now so long has failed"
    )
