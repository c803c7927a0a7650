"""Texts, figures and times as officers read them, in Indonesian and in English."""

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import yaml

Language = Literal["id", "en"]
LANGUAGES: Final[tuple[Language, ...]] = ("id", "en")
TEXTS: Final = Path(__file__).with_name("texts.yaml")

WITA: Final = timezone(timedelta(hours=8), "WITA")
"""Sulawesi's time; Indonesia knows no summer time."""
_MONTHS: Final[Mapping[Language, tuple[str, ...]]] = {
    "id": ("Jan", "Feb", "Mar", "Apr", "Mei", "Jun", "Jul", "Agu", "Sep", "Okt", "Nov", "Des"),
    "en": ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
}


@cache
def texts() -> Mapping[str, Mapping[Language, str]]:
    """Every text of the console by its key, in both languages."""
    found: dict[str, dict[Language, str]] = {}
    for group, entries in yaml.safe_load(TEXTS.read_text("utf-8")).items():
        found |= {f"{group}.{name}": words for name, words in entries.items()}
    return found


class Words:
    """One language. Templates call `t` for texts; a key that is not there is an error, but for codes (`code`)."""

    def __init__(self, language: Language) -> None:
        self.language = language

    def t(self, key: str, **values: Any) -> str:
        text = texts()[key][self.language]
        return text.format(**values) if values else text

    def code(self, group: str, code: str) -> str:
        """The words for a code, or the code itself where there are none."""
        known = texts().get(f"{group}.{code}")
        return known[self.language] if known else code

    def both(self, row: Mapping[str, Any], prefix: str = "") -> str:
        """Of a row that carries the text in both languages."""
        return str(row[f"{prefix}{self.language}"] or "")

    def number(self, value: int) -> str:
        return f"{value:,}".replace(",", ".") if self.language == "id" else f"{value:,}"

    def rupiah(self, amount_idr: int) -> str:
        return f"Rp{self.number(amount_idr)}"

    def short_rupiah(self, amount_idr: int) -> str:
        """For where there is little room: three digits and a word."""
        scales: tuple[tuple[int, str, str], ...] = (
            (10**12, "T", "tn"),
            (10**9, "M", "bn"),
            (10**6, "jt", "m"),
        )
        for size, indonesian, english in scales:
            if amount_idr >= size:
                figure = f"{amount_idr / size:.3g}" if amount_idr < 1000 * size else self.number(amount_idr // size)
                return f"Rp{figure.replace('.', ',')} {indonesian}" if self.language == "id" else f"Rp{figure}{english}"
        return self.rupiah(amount_idr)

    def share(self, part: int, whole: int) -> str:
        figure = f"{100 * part / whole:.1f}" if whole else "0"
        return (figure.replace(".", ",") if self.language == "id" else figure) + "%"

    def time(self, at: datetime) -> str:
        """Day and minute in Sulawesi."""
        there = at.astimezone(WITA)
        return f"{there.day} {_MONTHS[self.language][there.month - 1]} {there.year} {there:%H:%M}"

    def second(self, at: datetime) -> str:
        return f"{self.time(at)}{at.astimezone(WITA):\u200a:%S}".replace("\u200a", "")
