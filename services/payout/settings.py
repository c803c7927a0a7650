"""What the payout service reads from its environment, beside what every service does."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, SecretStr

from services.payout import configuration
from services.payout.configuration import Bank, ConfigurationInvalid
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

    def way_to(self, name: str, bank: Bank, environment: Mapping[str, str]) -> tuple[str, str]:
        """Address and token of a bank. Raises ConfigurationInvalid where a variable that it names is not set: one
        bank's orders never go to another's address."""
        found = []
        for named, default in (
            (bank.url_variable, self.bank_url),
            (bank.token_variable, self.bank_token.get_secret_value()),
        ):
            stated = environment.get(named, "") if named else default
            if not stated:
                raise ConfigurationInvalid(
                    f"{named} is not set: banks.yaml says that the bank {name} is found by it",
                    hint="set it, or name another variable there",
                )
            found.append(stated)
        return found[0], found[1]
