"""What the look-up process reads from its environment."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class LookupSettings(BaseSettings):
    """Neither Kafka nor a database: keys, a port, and who may ask."""

    model_config = SettingsConfigDict(env_prefix="SALUR_", extra="ignore", env_ignore_empty=True)

    keys: Path = Path(".salur/keys.json")
    http_host: str = "127.0.0.1"
    http_port: int = 0
    instance: int = 0
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    lookup_token: SecretStr = Field(min_length=16, description="What the portal shows")
    lookup_rate: float = Field(default=50.0, gt=0, description="Look-ups a second that are answered in the long run")
    lookup_burst: int = Field(default=200, ge=1, description="Look-ups that are answered at once")
