"""The words of the pages: texts.yaml and programmes.yaml, read once and checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from shared.errors import SalurError
from shared.words import Language

T = TypeVar("T")


class Said(BaseModel):
    """A text in both languages."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    en: str

    def in_(self, language: Language) -> str:
        return self.en if language == "en" else self.id


class Programme(BaseModel):
    """How a programme is called, and what its amount is for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: Said
    short: Said | None = None
    per: Said = Said(id="", en="")


class Catalogue(BaseModel):
    """What this deployment calls programmes and accounts of payout channels, by the names in events."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    programmes: dict[str, Programme]
    channels: dict[str, Said] = {}

    def programme(self, name: str) -> Programme:
        known = self.programmes.get(name)
        if known:
            return known
        title = name.replace("-", " ").title()
        return Programme(title=Said(id=title, en=title))

    def short(self, name: str) -> Said:
        """What narrow tables call a programme."""
        programme = self.programme(name)
        return programme.short or programme.title

    def place(self, name: str) -> tuple[int, str]:
        """Sorts programmes in the order of the file, then those that are not in it."""
        order = list(self.programmes)
        return (order.index(name) if name in order else len(order), name)


@dataclass(frozen=True, slots=True)
class Words:
    """The texts of one language: `words("paid", amount=…)`."""

    language: Language
    texts: Mapping[str, Said]

    def __call__(self, key: str, /, **values: object) -> str:
        text = self.texts[key].in_(self.language)
        return text.format(**values) if values else text

    def __getitem__(self, key: str) -> str:
        """For templates: `t.ask_title`."""
        return self(key)


@cache
def words(language: Language) -> Words:
    """Raises SalurError that says what is wrong with texts.yaml."""
    return Words(language, _texts())


@cache
def catalogue() -> Catalogue:
    """Raises SalurError that says what is wrong with programmes.yaml."""
    return _read("programmes.yaml", Catalogue)


@cache
def _texts() -> dict[str, Said]:
    return _read("texts.yaml", dict[str, Said])


def _read(name: str, kind: type[T]) -> T:
    text = (files("services.portal") / name).read_text(encoding="utf-8")
    try:
        return TypeAdapter(kind).validate_python(yaml.safe_load(text))
    except (yaml.YAMLError, ValidationError) as error:
        raise SalurError(f"services/portal/{name}: {error}") from None
