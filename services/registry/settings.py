"""The registry's configuration from the environment."""

from pathlib import Path

from pydantic import Field, SecretStr

from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    """What every service has, and where the sources stand (`SALUR_SOURCES`)."""

    sources: Path = Path(".salur/sources.json")
    reseal_token: SecretStr | None = Field(default=None, description="Who has it may have values sealed anew")
    batch_messages_max: int = 1000
    """Opening a submission is costly and happens inside the transaction, whose time is limited: also on a machine
    that is ten times too busy this many must be done in `transaction_timeout_ms`."""
