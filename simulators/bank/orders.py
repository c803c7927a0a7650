"""Reading a caller's request: what a transfer must look like, and how a wrong one is answered.

Field lengths are those of SNAP BI's transfer services.
"""

import re
from dataclasses import dataclass
from typing import Any

# Indonesian clearing codes: the state banks, Bank Syariah Indonesia and the large or regional ones people here use.
BANKS = {
    "002": "BRI",
    "008": "Mandiri",
    "009": "BNI",
    "011": "Danamon",
    "013": "Permata",
    "014": "BCA",
    "016": "Maybank",
    "019": "Panin",
    "022": "CIMB Niaga",
    "126": "Bank Sulselbar",
    "147": "Bank Muamalat",
    "200": "BTN",
    "426": "Bank Mega",
    "451": "BSI",
}

INVALID_FIELD = "4001801"
MISSING_FIELD = "4001802"
AMOUNT_IDR_MAX = 10**12
REFERENCE_MAX = 64

_REFERENCE = re.compile(rf"[!-~]{{1,{REFERENCE_MAX}}}")
_AMOUNT = re.compile(r"[1-9][0-9]{0,15}\.[0-9]{2}")
_ACCOUNT = re.compile(r"[0-9]{5,34}")


@dataclass(frozen=True, slots=True)
class Order:
    """A transfer that can be carried out. `amount_idr` is whole rupiah."""

    reference: str
    amount_idr: int
    bank: str
    account: str


@dataclass(frozen=True, slots=True)
class Unusable:
    """A transfer that cannot be read: the response code and the field that is wrong."""

    reference: str
    code: str
    field: str

    @property
    def message(self) -> str:
        """The responseMessage in SNAP BI's words."""
        said = "Missing Mandatory Field" if self.code == MISSING_FIELD else "Invalid Field Format"
        return f"{said} {self.field}"


def read_reference(value: object) -> str | None:
    """The reference when it is a usable one: 1 to 64 printable characters without spaces."""
    return value if isinstance(value, str) and _REFERENCE.fullmatch(value) else None


def read_transfer(transfer: object) -> Order | Unusable:
    """One element of `transfers`, checked."""
    if not isinstance(transfer, dict):
        return Unusable("", INVALID_FIELD, "transfers")
    given = transfer.get("partnerReferenceNo")
    reference = read_reference(given)
    if reference is None:
        return _unusable(str(given)[:REFERENCE_MAX] if given else "", given, "partnerReferenceNo")
    amount = _amount_idr(transfer.get("amount"))
    if isinstance(amount, tuple):
        return Unusable(reference, *amount)
    bank = transfer.get("beneficiaryBankCode")
    if not isinstance(bank, str) or bank not in BANKS:
        return _unusable(reference, bank, "beneficiaryBankCode")
    account = transfer.get("beneficiaryAccountNo")
    if not isinstance(account, str) or not _ACCOUNT.fullmatch(account):
        return _unusable(reference, account, "beneficiaryAccountNo")
    holder = transfer.get("beneficiaryAccountName")
    if not isinstance(holder, str) or not 1 <= len(holder.strip()) <= 100:
        return _unusable(reference, holder, "beneficiaryAccountName")
    return Order(reference, amount, bank, account)


def _amount_idr(amount: Any) -> int | tuple[str, str]:
    """Whole rupiah, or the code and field of what is wrong. Sen do not exist any more, so the decimals must be 00."""
    if not isinstance(amount, dict):
        return (MISSING_FIELD if amount is None else INVALID_FIELD), "amount"
    value = amount.get("value")
    if not isinstance(value, str) or not _AMOUNT.fullmatch(value) or not value.endswith(".00"):
        return (MISSING_FIELD if value is None else INVALID_FIELD), "amount.value"
    if amount.get("currency") != "IDR":
        return (MISSING_FIELD if amount.get("currency") is None else INVALID_FIELD), "amount.currency"
    amount_idr = int(value[:-3])
    if amount_idr > AMOUNT_IDR_MAX:
        return INVALID_FIELD, "amount.value"
    return amount_idr


def _unusable(reference: str, value: object, field: str) -> Unusable:
    return Unusable(reference, MISSING_FIELD if value is None or value == "" else INVALID_FIELD, field)
