"""Texts, figures and times as officers read them, in Indonesian and in English; the words stand in texts.yaml."""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from services.portal.texts import catalogue
from shared.words import WITA, Language, month_name, number, place, rupiah

LANGUAGES: Final[tuple[Language, ...]] = ("id", "en")
TEXTS: Final = Path(__file__).with_name("texts.yaml")
_TONES: Final[Mapping[str, str]] = {
    "recipient.registered": "good",
    "registration.rejected": "bad",
    "flag.rejected": "bad",
    "payout.ordered": "moving",
    "payout.queued": "waiting",
    "payout.confirmed": "good",
    "payout.failed": "bad",
    "notification.failed": "bad",
    "dead-letter": "bad",
}


@cache
def texts() -> Mapping[str, Mapping[Language, str]]:
    """Every text of the console by its key (`group.name`), in both languages."""
    found: dict[str, dict[Language, str]] = {}
    for group, entries in yaml.safe_load(TEXTS.read_text("utf-8")).items():
        found |= {f"{group}.{name}": words for name, words in entries.items()}
    return found


class Words:
    """One language. `t` is for texts that must be there, `code` for codes of others, which may be new."""

    def __init__(self, language: Language) -> None:
        self.language = language

    def t(self, key: str, **values: Any) -> str:
        text = texts()[key][self.language]
        return text.format(**values) if values else text

    def has(self, group: str, code: str | None) -> bool:
        return f"{group}.{code}" in texts()

    def code(self, group: str, code: str | None) -> str:
        """The words for a code, or the code itself where there are none."""
        if group == "programme":
            title = catalogue().programme(code or "").title
            return title.in_(self.language)
        known = texts().get(f"{group}.{code}")
        return known[self.language] if known else str(code or "")

    def both(self, row: Mapping[str, Any], prefix: str = "") -> str:
        """Of a row that carries the text in both languages."""
        return str(row[f"{prefix}{self.language}"] or "")

    def actions(self) -> list[str]:
        return [key.removeprefix("action.") for key in texts() if key.startswith("action.")]

    def happened(self, kind: str, facts: Mapping[str, Any]) -> str:
        """A sentence about one event of a recipient's story."""
        if not self.has("happened", kind):
            return self.code("event", kind)
        told = dict.fromkeys(("channel", "template", "attempt", "revision"), "") | dict(facts)
        told["place"] = self.place(facts.get("place"))
        told["amount"] = rupiah(facts.get("amount_idr") or 0, self.language)
        told["why"] = ", ".join(self._reason(code) for code in facts.get("codes", [facts.get("code")]) if code)
        told["programme"] = self.code("programme", facts.get("programme"))
        for name in ("change", "reason", "outcome"):
            told[name] = self.code({"outcome": "decision"}.get(name, "registration"), facts.get(name))
        return self.t(f"happened.{kind}", **told)

    def tone(self, kind: str, facts: Mapping[str, Any]) -> str:
        """The colour of an event of the story."""
        return "good" if facts.get("outcome") == "eligible" else _TONES.get(kind, "rest")

    def number(self, value: int) -> str:
        return number(value, self.language)

    def place(self, told: int | None) -> str:
        """In a queue; empty where there is none."""
        return place(told, self.language) if told else ""

    def rupiah(self, amount_idr: int) -> str:
        return rupiah(amount_idr, self.language)

    def short_rupiah(self, amount_idr: int) -> str:
        """For where there is little room: three digits and a word."""
        scales = ((10**12, "T", " tn"), (10**9, "M", " bn"), (10**6, "jt", " m"))
        for size, indonesian, english in scales:
            if amount_idr >= size:
                held = amount_idr / size
                figure = self._decimal(f"{held:.0f}" if held >= 100 else f"{held:.1f}" if held >= 10 else f"{held:.2f}")
                return f"Rp{figure} {indonesian}" if self.language == "id" else f"Rp{figure}{english}"
        return self.rupiah(amount_idr)

    def share(self, part: int, whole: int) -> str:
        return self._decimal(f"{100 * part / whole:.1f}" if whole else "0") + "%"

    def rate(self, a_second: float) -> str:
        figure = self._decimal(f"{a_second:.0f}" if a_second >= 10 else f"{a_second:.1f}")
        return self.t("overview.a_second", figure=figure)

    def time(self, at: datetime) -> str:
        """Day and minute in Sulawesi: `24 Nov 2026 15.04`."""
        there = at.astimezone(WITA)
        clock = f"{there:%H.%M}" if self.language == "id" else f"{there:%H:%M}"
        return f"{there.day} {month_name(there.month, self.language)[:3]} {there.year} {clock}"

    def second(self, at: datetime) -> str:
        mark = "." if self.language == "id" else ":"
        return f"{self.time(at)}{mark}{at:%S}"

    def _reason(self, code: str) -> str:
        for group in ("failure", "reason"):
            if self.has(group, code):
                return self.code(group, code)
        return code.replace("_", " ")

    def _decimal(self, figure: str) -> str:
        return figure.replace(".", ",") if self.language == "id" else figure
