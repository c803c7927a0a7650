"""What a bank is given: one order with the account it goes to."""

from typing import NamedTuple


class Account(NamedTuple):
    """Where the money goes. In memory for one call only; never logged or stored in clear."""

    bank: str
    number: str
    holder: str

    def __repr__(self) -> str:
        return "<account>"


class BankOrder(NamedTuple):
    """One transfer to ask for."""

    reference: str
    amount_idr: int
    account: Account
