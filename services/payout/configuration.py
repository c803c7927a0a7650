"""What is known of programmes, banks and reasons: YAML files, checked when the service starts."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from services.payout.domain.answers import Pauses, Said
from services.payout.domain.references import LENGTH_MAX, LENGTH_MIN
from shared.errors import SalurError
from shared.events.model import Code, Name, Text

_HERE = Path(__file__).parent
PROGRAMMES, BANKS, REASONS = _HERE / "programmes.yaml", _HERE / "banks.yaml", _HERE / "reasons.yaml"

M = TypeVar("M", bound=BaseModel)
Variable = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")]
Seconds = Annotated[float, Field(gt=0, le=7 * 24 * 3600)]


class ConfigurationInvalid(SalurError):
    """A configuration file is missing or wrong; the message names the file and the field."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Programme(_Model):
    """How one programme is paid, and of which region it is: a code of Kemendagri, empty for the whole country."""

    mode: Literal["continuous", "ranked"]
    period: Literal["month", "quarter"]
    channel: Name
    area: Annotated[str, Field(pattern=r"^([0-9]{2}|[0-9]{4}|[0-9]{6}|[0-9]{10})?$")] = ""


class Codes(_Model):
    """A bank's response codes by what they mean."""

    done: frozenset[str]
    pending: frozenset[str]
    used: frozenset[str]
    not_taken: frozenset[str]
    failed: dict[str, Code]

    def meaning(self, code: str) -> tuple[Said, Code | None]:
        """What the bank says, and our reason when it is a failure."""
        if code in self.failed:
            return Said.FAILED, self.failed[code]
        for said, codes in (
            (Said.DONE, self.done),
            (Said.PENDING, self.pending),
            (Said.USED, self.used),
            (Said.NOT_TAKEN, self.not_taken),
        ):
            if code in codes:
                return said, None
        return Said.UNCLEAR, None


class Bank(_Model):
    """One bank that pays; times in seconds. Its address and token stand in the environment variables that are named
    here; a bank that is the only one may leave that to SALUR_BANK_URL and SALUR_BANK_TOKEN."""

    kind: Literal["bulk_bank"]
    url_variable: Variable | None = None
    token_variable: Variable | None = None
    window_s: Seconds
    timestamp_tolerance_s: Seconds
    call_timeout_s: Seconds
    first_inquiry_after_s: Seconds
    inquiry_pause_max_s: Seconds
    resend_after_s: Seconds
    reference_length: int = Field(ge=LENGTH_MIN, le=LENGTH_MAX)
    orders_a_call: int = Field(ge=1, le=1000)
    calls_at_once: int = Field(ge=1, le=64)
    codes: Codes
    statuses: dict[str, Literal["done", "pending", "failed", "not_found"]]

    @model_validator(mode="after")
    def _window_is_long_enough(self) -> "Bank":
        if self.window_s <= self.timestamp_tolerance_s:
            raise ValueError("window_s must be longer than timestamp_tolerance_s")
        if self.window_s <= self.call_timeout_s:
            raise ValueError("window_s must be longer than call_timeout_s")
        return self

    @property
    def pauses(self) -> Pauses:
        return Pauses(self.window_s, self.first_inquiry_after_s, self.inquiry_pause_max_s, self.resend_after_s)


class _Programmes(_Model):
    programmes: dict[Name, Programme]


class _Banks(_Model):
    banks: dict[Name, Bank]


class Configuration(_Model):
    """All of it."""

    programmes: dict[str, Programme]
    banks: dict[str, Bank]
    reasons: dict[str, Text]

    def reason(self, code: str) -> Text:
        return self.reasons[code]


_NEEDED = frozenset(
    {"account_unreadable", "account_erased", "account_invalid", "no_account", "nothing_to_pay", "family_paid"}
    | {"refused_by_bank", "decision_superseded", "cycle_closed"}
)


def load(programmes: Path = PROGRAMMES, banks: Path = BANKS, reasons: Path = REASONS) -> Configuration:
    """Raises ConfigurationInvalid."""
    configuration = Configuration(
        programmes=_read(programmes, _Programmes).programmes,
        banks=_read(banks, _Banks).banks,
        reasons={code: _parsed(reasons, Text, text, f"{code}.") for code, text in _yaml(reasons).items()},
    )
    for name, programme in configuration.programmes.items():
        if programme.channel not in configuration.banks:
            raise ConfigurationInvalid(f"{programmes}: programmes.{name}.channel: {banks} has no {programme.channel}")
    for name, bank in configuration.banks.items():
        if len(configuration.banks) > 1 and not (bank.url_variable and bank.token_variable):
            raise ConfigurationInvalid(
                f"{banks}: banks.{name}: there are {len(configuration.banks)} banks, and this one says not where it is",
                hint="name the environment variables of its address and its token: url_variable, token_variable",
            )
    used = _NEEDED | {code for bank in configuration.banks.values() for code in bank.codes.failed.values()}
    if missing := sorted(used - configuration.reasons.keys()):
        raise ConfigurationInvalid(f"{reasons}: a reason is missing: {', '.join(missing)}")
    return configuration


def fits_unfinished(known: Configuration, unfinished: Iterable[tuple[str, int]]) -> None:
    """An attempt keeps its bank and its reference, and after a recovery the references of lost attempts are made anew:
    so a bank stays, with its length, as long as it has payouts (channel, length of reference) without an end.

    Raises ConfigurationInvalid.
    """
    for channel, length in unfinished:
        bank = known.banks.get(channel)
        if bank is None:
            raise ConfigurationInvalid(
                f"there are payouts on their way by the bank {channel}, and banks.yaml does not have it any more",
                hint="put it back until they have come to their end",
            )
        if bank.reference_length != length:
            raise ConfigurationInvalid(
                f"banks.{channel}.reference_length is {bank.reference_length}, and there are payouts on their way "
                f"whose references have {length} characters",
                hint=f"set it back to {length}; for another length add a bank under a new name, and let the programmes "
                "name that one as their channel",
            )


def _read(path: Path, model: type[M]) -> M:
    return _parsed(path, model, _yaml(path))


def _yaml(path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationInvalid(f"{path} cannot be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise ConfigurationInvalid(f"{path} is no YAML: {error}") from None
    if not isinstance(found, dict):
        raise ConfigurationInvalid(f"{path} holds no mapping")
    return found


def _parsed(path: Path, model: type[M], value: Any, prefix: str = "") -> M:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = prefix + ".".join(map(str, first["loc"]))
        raise ConfigurationInvalid(f"{path}: {field}: {first['msg']}") from None
