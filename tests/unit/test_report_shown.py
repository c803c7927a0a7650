"""The report on a terminal, as a page and as JSON."""

import json
import re
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from salur.report import charts
from salur.report.charts import Part
from salur.report.document import (
    EXAMPLES_MAX,
    Funnel,
    Messages,
    Money,
    Rates,
    Report,
)
from salur.report.make import ORDER
from salur.report.page import duration, number, page, short_idr
from salur.report.terminal import about_idr, show
from salur.report.wording import INDONESIAN, WORDS
from tests.unit.report_sample import broken, sample


def empty() -> Report:
    """What a stack that has done nothing reports."""
    report = sample()
    return report.model_copy(
        update={
            "funnel": Funnel(),
            "defects": None,
            "money": Money(),
            "messages": Messages(),
            "rates": Rates(reported_at=report.rates.reported_at),
        }
    )


class _Page(HTMLParser):
    """Collects what a page is made of, and fails on tags that do not match."""

    VOID = frozenset({"meta", "link", "br"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [
            value or "" for name, value in attrs if name in ("src", "href", "srcset", "xlink:href", "action")
        ]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("report", [sample(), broken(), empty()], ids=["sample", "broken", "empty"])
def test_the_page_is_whole_and_needs_nothing_from_elsewhere(report: Report) -> None:
    html = page(report)
    found = _Page(html)
    assert found.tags.isdisjoint({"script", "img", "iframe", "object", "embed", "form"})
    assert set(found.links) <= {"data:,"}
    assert not re.search(r"https?://|@import|url\(", html)
    for name in ORDER:
        assert WORDS[name] in html.replace("&#39;", "'")
        assert INDONESIAN[name] in html
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html
    assert "width=device-width" in html


def test_the_page_says_what_is_broken_and_what_was_not_checked() -> None:
    assert "Semua 10 jaminan terpenuhi" in page(sample())
    html = page(broken())
    assert "1 dari 10 jaminan tidak terpenuhi" in html
    assert "REF0000000000000: &lt;the amounts differ&gt;" in html
    assert "broken 25 times" in html
    assert "not checked: the topics were not read" in html
    assert "≠" in html


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("report", [sample(), broken(), empty()], ids=["sample", "broken", "empty"])
def test_the_terminal_shows_everything_at_any_width(report: Report, width: int) -> None:
    out = StringIO()
    show(report, Console(file=out, width=width, highlight=False), ["the books of the bank cannot be read"])
    text = out.getvalue()
    assert "Nobody was paid twice in a cycle" in text
    assert "cannot be read" in text
    assert ("all hold" in text) == (not report.broken)
    assert max(len(line) for line in text.splitlines()) <= width


def test_an_invariant_counts_all_and_names_some() -> None:
    one = next(one for one in broken().invariants if one.name == "ledger_equals_bank")
    assert one.broken == 25
    assert len(one.detail) == EXAMPLES_MAX


def test_the_json_has_exactly_these_parts() -> None:
    made = json.loads(broken().model_dump_json())
    assert list(made) == ["invariants", "funnel", "defects", "money", "messages", "rates"]
    assert [list(one) for one in made["invariants"]] == [["name", "broken", "detail"]] * len(ORDER)
    assert [one["name"] for one in made["invariants"]] == list(ORDER)
    by_name = {one["name"]: one["broken"] for one in made["invariants"]}
    assert (by_name["ledger_equals_bank"], by_name["digests_right"], by_name["nothing_lost"]) == (25, None, 0)
    assert Report.model_validate_json(json.dumps(made)) == broken()


def test_a_bar_shows_every_piece_that_is_there_and_never_overflows() -> None:
    parts = [Part("paid", "p", 1_000_000), Part("failed", "f", 1), Part("queued", "q", 0)]
    svg = str(charts.bar(parts, 1_000_001, "<label>"))
    rects = [(float(x), float(w)) for x, w in re.findall(r'c-\w+" x="([\d.]+)" y="0" width="([\d.]+)"', svg)]
    assert len(rects) == 2
    assert all(width >= 1 for _, width in rects)
    assert rects[-1][0] + rects[-1][1] <= 1000.1
    assert "&lt;label&gt;" in svg
    assert "c-paid" not in str(charts.bar(parts, 0, "nothing"))


def test_a_span_keeps_its_marks_inside() -> None:
    svg = str(charts.span(0.2, 50, 10_000, 5_000, "longer than the scale"))
    for x, width in re.findall(r'x="([\d.-]+)" y="[\d.]+" width="([\d.-]+)"', svg):
        assert 0 <= float(x) <= 1000
        assert float(width) >= 0


@pytest.mark.parametrize(
    ("amount", "page_says", "terminal_says"),
    [
        (950_000, "Rp\u202f950\u202f000", "Rp950,000"),
        (349_900_000, "Rp\u202f349.9 juta", "Rp349.9 mn"),
        (1_570_000_000_000, "Rp\u202f1.57 triliun", "Rp1.57 tn"),
    ],
)
def test_rupiah_in_short(amount: int, page_says: str, terminal_says: str) -> None:
    assert short_idr(amount) == page_says
    assert about_idr(amount) == terminal_says


def test_numbers_and_durations() -> None:
    assert number(1234567) == "1\u202f234\u202f567"
    assert number(None) == "–"
    assert [duration(ms) for ms in (0.4, 999, 1_500, 600_000, 9e6)] == ["0 ms", "999 ms", "1.5 s", "10 min", "2.5 h"]


def test_every_field_of_the_document_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "reference" / "report.md").read_text(encoding="utf-8")
    schema = Report.model_json_schema()
    fields = {name for part in (schema, *schema["$defs"].values()) for name in part["properties"]}
    assert {name for name in fields if not re.search(rf"`{name}`|\"{name}\"", text)} == set()
    assert [name for name in ORDER if f"`{name}`" not in text] == []
