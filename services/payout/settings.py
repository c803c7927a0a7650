"""What the payout service reads from its environment, beside what every service does."""

from pathlib import Path

from pydantic import Field, SecretStr

from services.payout import configuration
from shared.settings import ServiceSettings


class PayoutSettings(ServiceSettings):
    """Prefix SALUR_. The three files default to those beside this module."""

    bank_url: str = "http://127.0.0.1:8601"
    bank_token: SecretStr = SecretStr("bank-token")
    officer_token: SecretStr | None = Field(default=None, description="Who has it may propose and approve cycles")
    payout_programmes: Path = configuration.PROGRAMMES
    payout_banks: Path = configuration.BANKS
    payout_reasons: Path = configuration.REASONS
    sweep_decisions_max: int = Field(default=2000, ge=1, le=10_000)
