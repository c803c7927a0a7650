"""What the phones look like in a browser."""

import json
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from simulators.carrier.store import Bubble
from simulators.carrier.templates import Templates

# Sulawesi's time; Indonesia knows no summer time.
WITA = timezone(timedelta(hours=8), "WITA")
_DAYS = ("Senin", "Selasa", "Rabu", "Kamis", "Jumat", "Sabtu", "Minggu")
_MONTHS = (
    "Januari",
    "Februari",
    "Maret",
    "April",
    "Mei",
    "Juni",
    "Juli",
    "Agustus",
    "September",
    "Oktober",
    "November",
    "Desember",
)
_BOLD = re.compile(r"(?<!\w)\*(\S(?:[^*\n]*\S)?)\*(?!\w)")
_ITALIC = re.compile(r"(?<!\w)_(\S(?:[^_\n]*\S)?)_(?!\w)")

_pages = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "pages"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)


def list_page(templates: Templates, rows: list[tuple[Any, ...]], query: str, totals: dict[str, int], limit: int) -> str:
    """The page of all phones, the one that got something last on top. `rows` are those of store.PHONES."""
    phones = [
        {
            "number": phone,
            "shown": shown_number(phone),
            "hue": int(phone[-3:]) * 47 % 360,
            "end": phone[-2:],
            "messages": messages,
            "time": _clock(last_at),
            "day": _day(last_at),
            "last": _preview(templates, template, language, content),
        }
        for phone, messages, last_at, template, language, content in rows
    ]
    return _pages.get_template("phones.html").render(phones=phones, query=query, totals=totals, limit=limit)


def phone_page(templates: Templates, phone: str, chat: list[Bubble]) -> str:
    """One phone with its chat, oldest bubble first."""
    bubbles = []
    day = None
    for bubble in chat:
        new_day = _day(bubble.at)
        text = bubble.content if bubble.mine else _text(templates, bubble.template, bubble.language, bubble.content)
        bubbles.append(
            {
                "mine": bubble.mine,
                "html": _marked_up(text),
                "time": _clock(bubble.at),
                "day": new_day if new_day != day else None,
                "language": bubble.language,
                "template": bubble.template,
                "callback_data": bubble.callback_data,
            }
        )
        day = new_day
    return _pages.get_template("phone.html").render(
        number=phone, shown=shown_number(phone), bubbles=bubbles, hue=int(phone[-3:]) * 47 % 360
    )


def shown_number(phone: str) -> str:
    """`6281234567890` as people write it: +62 812-3456-7890."""
    if not phone.startswith("62"):
        return f"+{phone}"
    rest = phone[2:]
    return f"+62 {'-'.join(part for part in (rest[:3], rest[3:7], rest[7:]) if part)}"


def _text(templates: Templates, template: str | None, language: str | None, content: str) -> str:
    values = json.loads(content)
    return str(values[0]) if template is None else templates.text(template, language or "", values)


def _preview(templates: Templates, template: str | None, language: str | None, content: str | None) -> str:
    if content is None:
        return ""
    text = _text(templates, template, language, content)
    return " ".join(text.replace("*", "").split())[:140]


def _marked_up(text: str) -> Markup:
    """WhatsApp's *bold* and _italic_; everything else is text."""
    html = str(escape(text))
    html = _ITALIC.sub(r"<em>\1</em>", _BOLD.sub(r"<strong>\1</strong>", html))
    return Markup(html)  # noqa: S704 (escaped above; only the two tags are added)


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, WITA).strftime("%H.%M")


def _day(at: float) -> str:
    day = datetime.fromtimestamp(at, WITA)
    return f"{_DAYS[day.weekday()]}, {day.day} {_MONTHS[day.month - 1]} {day.year}"
