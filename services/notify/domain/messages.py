"""What a message says: a template's name, its language and the values of its places.

A WhatsApp template's value holds no new line, no tab and no run of spaces, and a body has at most 1,024 characters.
No message holds a NIK, an account number or a particular (a disability, an income): it passes through a foreign
company's computers and shows on a locked screen.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple

from services.notify.domain.phrases import PHRASES, programme_and_period, what_to_do
from shared.words import Language, day, rupiah

BODY_CHARS_MAX: Final = 1024
TEMPLATE_CHARS_MAX: Final = 220
"""What the fixed words of a decision's template take of the body at most."""
LINES_MAX: Final = 4
NAME_CHARS_MAX: Final = 40
TITLE_CHARS_MAX: Final = 30
PER_CHARS_MAX: Final = 30
REASON_CHARS: Final = (180, 130, 90, 40)
"""How long a reason may be; the first with which the whole message fits."""

_SPACE: Final = re.compile(r"\s+")
_SENTENCE_END: Final = re.compile(r"(?<=[.!?]) (?=[A-Z])")
_LONG_NUMBER: Final = re.compile(r"\d[\d .-]{8,}\d")


class Named(NamedTuple):
    """A name as it stands in a message, in both languages."""

    id: str
    en: str

    def in_(self, language: Language) -> str:
        return self.en if language == "en" else self.id


class Programme(NamedTuple):
    """How a programme is called, and what its amount is for (`per bulan`); `per` is empty where nobody said."""

    title: Named
    per: Named = Named("", "")


class Names(NamedTuple):
    """What this deployment calls programmes and accounts of payout channels, by the names in events."""

    programmes: Mapping[str, Programme]
    accounts: Mapping[str, Named]

    def programme(self, name: str) -> Programme:
        known = self.programmes.get(name)
        if known:
            return known
        title = name.replace("-", " ").title()
        return Programme(Named(title, title))

    def account(self, channel: str, language: Language) -> str:
        known = self.accounts.get(channel)
        return known.in_(language) if known else PHRASES[language].own_account


class Decision(NamedTuple):
    """A decision that is to be told. `told_idr` is the amount told before, 0 for a no, None when nothing was told."""

    programme: str
    eligible: bool
    amount_idr: int
    reason: Named
    told_idr: int | None = None


class Confirmed(NamedTuple):
    """Money that is in the account."""

    programme: str
    cycle: str
    amount_idr: int
    channel: str
    at: datetime


class Failed(NamedTuple):
    """Money that did not reach the account; `reason` says what is wrong."""

    programme: str
    cycle: str
    amount_idr: int
    code: str
    reason: Named


class Code(NamedTuple):
    """A code that opens `My aid` for so many minutes."""

    code: str
    minutes: int


class Composed(NamedTuple):
    """A message ready for a carrier; `values` fill the places {{1}}, {{2}}… of the template."""

    template: str
    language: Language
    values: tuple[str, ...]


def compose_decisions(name: str, language: Language, decisions: Sequence[Decision], names: Names) -> Composed:
    """One message for these decisions, at least one: a line each, what was granted first."""
    assert decisions, "a message tells at least one decision"
    phrases = PHRASES[language]
    order = list(names.programmes)
    ordered = sorted(
        decisions,
        key=lambda d: (not d.eligible, order.index(d.programme) if d.programme in order else len(order), d.programme),
    )
    shown, more = (ordered, ()) if len(ordered) <= LINES_MAX else (ordered[: LINES_MAX - 1], ordered[LINES_MAX - 1 :])
    granted = {decision.eligible for decision in ordered}
    what_next = phrases.next_both if len(granted) == 2 else phrases.next_yes if True in granted else phrases.next_no
    values: tuple[str, ...] = ()
    for reason_chars in REASON_CHARS:
        lines = [_line(decision, language, names, reason_chars) for decision in shown]
        if more:
            lines.append(phrases.more.format(count=len(more)))
        values = (_greeted(name, language), *lines, what_next)
        if sum(map(len, values)) <= BODY_CHARS_MAX - TEMPLATE_CHARS_MAX:
            break
    return _composed(f"decision_{len(values) - 2}", language, values)


def compose_confirmed(name: str, language: Language, payout: Confirmed, names: Names) -> Composed:
    title = names.programme(payout.programme).title.in_(language)
    return _composed(
        "payout_confirmed",
        language,
        (
            _greeted(name, language),
            programme_and_period(title, payout.cycle, language),
            rupiah(payout.amount_idr, language),
            names.account(payout.channel, language),
            day(payout.at, language),
        ),
    )


def compose_failed(name: str, language: Language, payout: Failed, names: Names) -> Composed:
    title = names.programme(payout.programme).title.in_(language)
    return _composed(
        "payout_failed",
        language,
        (
            _greeted(name, language),
            programme_and_period(title, payout.cycle, language),
            rupiah(payout.amount_idr, language),
            _first_sentence(payout.reason.in_(language)),
            what_to_do(payout.code, language),
        ),
    )


def compose_code(language: Language, code: Code) -> Composed:
    """As a template for authentication has it: the code and how long it lasts, no name and no news."""
    return _composed("access_code", language, (code.code, str(code.minutes)))


def _line(decision: Decision, language: Language, names: Names, reason_chars: int) -> str:
    phrases = PHRASES[language]
    programme = names.programme(decision.programme)
    per = _shortened(programme.per.in_(language), PER_CHARS_MAX)
    told_idr = decision.told_idr
    phrase = _yes(phrases, decision) if decision.eligible else phrases.no_longer if told_idr else phrases.no
    return phrase.format(
        programme=_shortened(programme.title.in_(language), TITLE_CHARS_MAX),
        amount=rupiah(decision.amount_idr, language),
        per=f" {per}" if per else "",
        before=rupiah(told_idr or 0, language),
        reason=_sentences(decision.reason.in_(language), reason_chars),
    )


def _yes(phrases: object, decision: Decision) -> str:
    kind: Literal["yes", "yes_now", "yes_changed"] = (
        "yes" if decision.told_idr is None else "yes_changed" if decision.told_idr else "yes_now"
    )
    phrase: str = getattr(phrases, kind)
    return phrase


def _composed(template: str, language: Language, values: tuple[str, ...]) -> Composed:
    return Composed(template, language, tuple(_plain(value) for value in values))


def _greeted(name: str, language: Language) -> str:
    return _shortened(_plain(name), NAME_CHARS_MAX) or PHRASES[language].somebody


def _sentences(text: str, chars_max: int) -> str:
    """As many whole sentences as fit, at least the beginning of the first; without a number that could be an account
    or a NIK."""
    masked = _plain(_LONG_NUMBER.sub("…", text))
    if masked and not masked.endswith((".", "!", "?", "…")):
        masked += "."
    kept = ""
    for sentence in _SENTENCE_END.split(masked):
        longer = f"{kept} {sentence}".strip()
        if len(longer) > chars_max:
            break
        kept = longer
    return kept or _shortened(masked, chars_max)


def _first_sentence(text: str) -> str:
    """What is wrong; what to do about it is said in our own words, once."""
    return _SENTENCE_END.split(_sentences(text, REASON_CHARS[0]), maxsplit=1)[0]


def _shortened(text: str, chars_max: int) -> str:
    if len(text) <= chars_max:
        return text
    return text[: chars_max - 1].rsplit(" ", 1)[0].rstrip(" ,;:") + "…"


def _plain(text: str) -> str:
    """One line, single spaces: what a template's value may hold."""
    return _SPACE.sub(" ", text).strip()
