"""One edition as a page shows it: pure, from published figures to rows of words."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from markupsafe import Markup

from services.portal.figures.charts import bar
from services.portal.regions import name_of
from services.portal.store.figures import Figure
from services.portal.texts import Catalogue, Words
from shared.words import number, period, rupiah

DASH: Final = "–"


class Line(NamedTuple):
    """A row of a table: its name, its figures as text, and a bar. `link` leads into an area."""

    name: str
    values: tuple[str, ...]
    chart: Markup
    link: str = ""


class Programme(NamedTuple):
    """Everything about one programme in one area."""

    title: str
    eligible: str
    periods: list[Line]
    reasons: list[Line]
    chart: Markup


class Address(NamedTuple):
    """Of the page, with the edition that was asked for: none leads to the newest, whichever that is by then."""

    path: str
    edition: str

    def query(self, district: str) -> str:
        asked = {name: text for name, text in (("edition", self.edition), ("district", district)) if text}
        return f"?{urlencode(asked)}" if asked else ""

    def to(self, district: str) -> str:
        return self.path + self.query(district)


Table = Mapping[tuple[str, str, str, str], Mapping[str, int | None]]


def table_of(figures: Sequence[Figure]) -> Table:
    """By (measure, programme, period, reason) and area."""
    held: dict[tuple[str, str, str, str], dict[str, int | None]] = {}
    for figure in figures:
        held.setdefault(figure[:4], {})[figure.area] = figure.value
    return held


def shown(table: Table, names: Catalogue, t: Words, whole: str, area: str, address: Address) -> dict[str, Any]:
    """What the template `figures` needs, for the whole or one of its districts."""
    registered = table.get(("registered", "", "", ""), {})
    programmes = sorted({key[1] for key in table if key[1]}, key=names.place)
    return {
        "registered": _count(registered.get(area, 0), t),
        "programmes": [_programme(table, names, t, programme, area) for programme in programmes],
        "parts": _parts(table, names, t, programmes, whole, area, address),
        "part_titles": [names.short(programme).in_(t.language) for programme in programmes],
        "of_villages": area != whole,
    }


def _programme(table: Table, names: Catalogue, t: Words, programme: str, area: str) -> Programme:
    registered = table.get(("registered", "", "", ""), {}).get(area)
    eligible = table.get(("eligible", programme, "", ""), {}).get(area, 0)
    paid = sorted(key for key in table if key[:2] == ("paid", programme))
    refused = [(key[3], table[key].get(area, 0)) for key in table if key[:2] == ("refused", programme)]
    refused.sort(key=lambda reason: (-(reason[1] or 0), reason[0]))
    most_paid = max((table[key].get(area) or 0 for key in paid), default=0)
    most_refused = max((count or 0 for _, count in refused), default=0)
    return Programme(
        title=names.programme(programme).title.in_(t.language),
        eligible=_count(eligible, t),
        periods=[
            Line(
                period(key[2], t.language),
                (_count(table[key].get(area, 0), t), _idr(table.get(("paid_idr", *key[1:]), {}).get(area, 0), t)),
                _bar(table[key].get(area, 0), max(most_paid, eligible or 0), t, 1),
            )
            for key in paid
        ],
        reasons=[
            Line(_reason(code, t), (_count(count, t),), _bar(count, most_refused, t, 4))
            for code, count in refused
            if count != 0
        ],
        chart=_bar(eligible, registered or 0, t, 1),
    )


def _parts(
    table: Table, names: Catalogue, t: Words, programmes: Sequence[str], whole: str, area: str, address: Address
) -> list[Line]:
    """The districts of the whole, or the villages of a district."""
    registered = table.get(("registered", "", "", ""), {})
    chars = 6 if area == whole else 10
    parts = sorted(part for part in registered if len(part) == chars and part.startswith(area) and part != whole)
    most = max((registered[part] or 0 for part in parts), default=0)
    lines = []
    for part in parts:
        eligible = [table.get(("eligible", programme, "", ""), {}).get(part, 0) for programme in programmes]
        lines.append(
            Line(
                name_of(part),
                (_count(registered[part], t), *(_count(count, t) for count in eligible)),
                _bar(registered[part], most, t, 2),
                address.to(part) if chars == 6 else "",
            )
        )
    return lines


def _bar(value: int | None, whole: int, t: Words, colour: int) -> Markup:
    return bar(value, whole, t("figures_chart", value=_count(value, t), of=_count(whole, t)), colour)


def _count(value: int | None, t: Words) -> str:
    return DASH if value is None else number(value, t.language)


def _idr(value: int | None, t: Words) -> str:
    """In millions with at most one decimal, where that is exact: what is published is rounded more coarsely anyway."""
    if value is None:
        return DASH
    if value % 100_000 or value < 1_000_000:
        return rupiah(value, t.language)
    whole, tenths = divmod(value // 100_000, 10)
    decimals = f"{',' if t.language == 'id' else '.'}{tenths}" if tenths else ""
    return t("figures_million", millions=number(whole, t.language) + decimals)


def _reason(code: str, t: Words) -> str:
    """What a reason is called in public; one that has no name yet by its code."""
    return t(f"reason_{code}") if f"reason_{code}" in t.texts else code.replace("_", " ")
