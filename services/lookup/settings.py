"""What the look-up process reads from its environment."""

from pydantic import Field, SecretStr

from shared.settings import ProcessSettings


class LookupSettings(ProcessSettings):
    """Neither Kafka nor a database: keys, a port, and who may ask."""

    lookup_token: SecretStr = Field(min_length=16, description="What the portal shows")
    lookup_rate: float = Field(default=50.0, gt=0, description="Look-ups a second that are answered in the long run")
    lookup_burst: int = Field(default=200, ge=1, description="Look-ups that are answered at once")
