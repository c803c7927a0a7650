"""From stored facts to messages: reads the names of programmes, the contact, and what a row says."""

from datetime import datetime
from importlib.resources import files
from typing import Any, Final, NamedTuple

import asyncpg
import orjson
import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from services.notify.domain.messages import (
    Code,
    Composed,
    Confirmed,
    Decision,
    Failed,
    Named,
    Names,
    Programme,
    compose_code,
    compose_confirmed,
    compose_decisions,
    compose_failed,
)
from shared.errors import CannotOpen, Erased, SalurError
from shared.privacy.keyring import Keyring
from shared.words import Language

CONTACT_SCHEMA: Final = "contact/1"
CODE_SCHEMA: Final = "code.issued/1"


class Person(NamedTuple):
    """Whom a message goes to."""

    name: str
    phone: str
    language: Language


class Unreachable(SalurError):
    """There is no way to this recipient; `code` says why, and no value of theirs."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class _Contact(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    name: str = ""
    phone: str | None = Field(default=None, pattern=r"^\+[1-9][0-9]{6,14}$")
    language: str | None = None


class _Programme(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: Named
    per: Named = Named("", "")


class _Names(BaseModel):
    model_config = ConfigDict(extra="forbid")

    programmes: dict[str, _Programme]
    accounts: dict[str, Named] = {}


def load_names() -> Names:
    """The names in programmes.yaml. Raises SalurError that says which field is wrong."""
    text = (files("services.notify") / "programmes.yaml").read_text(encoding="utf-8")
    try:
        held = TypeAdapter(_Names).validate_python(yaml.safe_load(text))
    except (yaml.YAMLError, ValidationError) as error:
        raise SalurError(f"services/notify/programmes.yaml: {error}") from None
    programmes = {name: Programme(p.title, p.per) for name, p in held.programmes.items()}
    return Names(programmes, held.accounts)


def open_contact(keyring: Keyring, recipient_id: str, sealed: str | None) -> Person:
    """Raises Unreachable, and KeyMissing where this process has not the key."""
    if sealed is None:
        raise Unreachable("no_contact")
    try:
        opened = keyring.open(sealed, "contact", recipient=recipient_id, schema=CONTACT_SCHEMA)
        contact = _Contact.model_validate_json(opened)
    except Erased:
        raise Unreachable("erased") from None
    except CannotOpen:
        raise Unreachable("cannot_open") from None
    except ValidationError:
        raise Unreachable("contact_invalid") from None
    if contact.phone is None:
        raise Unreachable("no_phone")
    return Person(contact.name, contact.phone, "en" if contact.language == "en" else "id")


def decided_of(row: asyncpg.Record) -> Decision:
    """A row of `store.untold_decisions`."""
    reason = Named(row["text_id"] or "", row["text_en"] or "")
    return Decision(row["programme"], row["eligible"], row["amount_idr"], reason, row["told_idr"])


def decisions_for(person: Person, decisions: list[Decision], names: Names) -> Composed:
    return compose_decisions(person.name, person.language, decisions, names)


def payout_for(person: Person, facts: str, names: Names) -> Composed:
    """From what `handler` has written into the row."""
    held: dict[str, Any] = orjson.loads(facts)
    common = (held["programme"], held["cycle"], held["amount_idr"])
    if "at" in held:
        confirmed = Confirmed(*common, held["channel"], datetime.fromisoformat(held["at"]))
        return compose_confirmed(person.name, person.language, confirmed, names)
    failed = Failed(*common, held["code"], Named(held["id"], held["en"]))
    return compose_failed(person.name, person.language, failed, names)


def is_code(facts: str | None) -> bool:
    """Whether these are the facts of a code's message."""
    return facts is not None and "request" in orjson.loads(facts)


def code_for(keyring: Keyring, recipient_id: str, person: Person, facts: str, minutes: int) -> Composed:
    """Opens the code right before it leaves. Raises Unreachable, and KeyMissing where this process has not the key."""
    held: dict[str, Any] = orjson.loads(facts)
    try:
        code = keyring.open(held["code"], "access", recipient=recipient_id, schema=CODE_SCHEMA)
    except (Erased, CannotOpen):
        raise Unreachable("cannot_open") from None
    return compose_code(person.language, Code(code.decode(), minutes))
