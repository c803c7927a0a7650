"""The report as one page that needs nothing else: no script, no font, no image from anywhere."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from salur.report import charts
from salur.report.charts import Part
from salur.report.document import CycleMoney, Latency, ProgrammeFunnel, Report, StageRate
from salur.report.wording import INDONESIAN, WORDS, words

NARROW_SPACE: Final = "\u202f"
"""Groups thousands: neither 1.000 nor 1,000 is read alike in Indonesian and in English."""

_STANDINGS: Final = (
    ("paid", "confirmed", "dibayar", "paid"),
    ("bank", "at_the_bank", "di bank", "at the bank"),
    ("ordered", "ordered", "dipesan", "ordered"),
    ("queued", "queued", "antre", "queued"),
    ("failed", "failed", "gagal salur", "failed"),
    ("cancelled", "cancelled", "dibatalkan", "cancelled"),
    ("waiting", "not_yet_considered", "belum diolah", "not yet considered"),
    ("waiting", "no_open_cycle", "belum ada tahap", "no open cycle"),
)
_MESSAGES: Final = {
    "read": ("paid", "dibaca", "read"),
    "delivered": ("told", "sampai", "delivered"),
    "sent": ("bank", "terkirim", "sent"),
    "sending": ("ordered", "sedang dikirim", "sending"),
    "waiting": ("queued", "menunggu", "waiting"),
    "unknown": ("cancelled", "tidak diketahui", "unknown"),
    "failed": ("failed", "gagal", "failed"),
    "unreachable": ("waiting", "tanpa nomor telepon", "no phone"),
    "not_needed": ("rest", "tidak perlu", "not needed"),
    "superseded": ("rest", "digantikan", "superseded"),
}
_CURVES: Final = (
    ("registered", "ordered", "terdaftar", "registered"),
    ("decided", "bank", "diputus", "decided"),
    ("ordered", "queued", "dipesan", "ordered"),
    ("confirmed", "paid", "dibayar", "paid"),
    ("told", "told", "diberi tahu", "told"),
)


def page(report: Report) -> str:
    """The HTML."""
    environment = Environment(
        loader=PackageLoader("salur.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(_FILTERS)
    return environment.get_template("page.html").render(
        report=report,
        rates=report.rates,
        money=report.money,
        funnel=report.funnel,
        defects=report.defects,
        messages=_messages(report),
        flow=_flow(report),
        programmes=[_programme(one) for one in report.funnel.programmes],
        cycles=[_cycle(one) for one in report.money.cycles],
        curves=_curves(report),
        spans=_spans(report),
        failures=_failures(report),
        kept_most=max((one.kept_idr or 0 for one in report.defects.classes), default=0) if report.defects else 0,
        cpu_most=max((one.cpu_s for one in report.rates.cpu), default=0),
        bar=charts.bar,
        Part=Part,
        WORDS=WORDS,
    )


def number(value: float | None) -> str:
    """A whole number with its thousands apart."""
    return "–" if value is None else f"{value:,.0f}".replace(",", NARROW_SPACE)


def idr(value: int | None) -> str:
    return "–" if value is None else f"Rp{NARROW_SPACE}{number(value)}"


def short_idr(value: int | None) -> str:
    """Rupiah in words that are spoken: juta is a million, miliar a thousand of them."""
    for size, word in ((10**12, "triliun"), (10**9, "miliar"), (10**6, "juta")):
        if value is not None and value >= size:
            return f"Rp{NARROW_SPACE}{value / size:.4g} {word}"
    return idr(value)


def duration(ms: float) -> str:
    if ms < 1000:
        return f"{ms:.0f} ms"
    if ms < 120_000:
        return f"{ms / 1000:.1f} s"
    return f"{ms / 60_000:.0f} min" if ms < 7_200_000 else f"{ms / 3_600_000:.1f} h"


def _chip(code: str) -> Markup:
    """A code in both languages, where it has a name in Indonesian."""
    if code not in INDONESIAN:
        return escape(words(code))
    return Markup('{} <span class="en">{}</span>').format(INDONESIAN[code], words(code))


_FILTERS: Final[dict[str, Callable[..., str]]] = {
    "number": number,
    "idr": idr,
    "short_idr": short_idr,
    "duration": duration,
    "words": words,
    "indonesian": lambda code: INDONESIAN.get(code, words(code)),
    "chip": _chip,
    "megabytes": lambda size: "–" if size is None else f"{size / 1e6:.0f} MB",
}


def _flow(report: Report) -> list[dict[str, Any]]:
    """The steps from a submission to money, each with its count."""
    funnel = report.funnel
    registrations = next((one for one in funnel.submissions if one.kind == "registration"), None)
    steps = []
    if registrations:
        came = registrations.sent if registrations.sent is not None else registrations.answered
        steps.append(("usulan pendaftaran", "registrations sent in", came, "ordered"))
    steps.append(("penerima terdaftar", "registered recipients", funnel.recipients, "bank"))
    steps.append(("layak menerima", "eligible in at least one programme", funnel.eligible, "queued"))
    steps.append(("sudah dibayar", "paid at least once", funnel.paid, "paid"))
    most = max((count for _, _, count, _ in steps), default=0)
    return [
        {
            "id": indonesian,
            "en": english,
            "count": count,
            "chart": charts.bar([Part(kind, english, count)], most, f"{english}: {count}", 22),
        }
        for indonesian, english, count, kind in steps
    ]


class Legend(NamedTuple):
    """A piece of a bar, as it is explained below it."""

    kind: str
    id: str
    en: str
    value: int

    def part(self, told: str) -> Part:
        return Part(self.kind, f"{self.en}: {told}", self.value)


def _programme(one: ProgrammeFunnel) -> dict[str, Any]:
    parts = [
        Legend(kind, indonesian, english, getattr(one, name))
        for kind, name, indonesian, english in _STANDINGS
        if getattr(one, name)
    ]
    pieces = [part.part(number(part.value)) for part in parts]
    return {
        "of": one,
        "title": one.title.id if one.title else one.programme,
        "title_en": one.title.en if one.title else "",
        "parts": parts,
        "chart": charts.bar(pieces, one.eligible, f"{one.programme}: where {one.eligible} eligible decisions stand"),
    }


def _cycle(one: CycleMoney) -> dict[str, Any]:
    under_way = one.reserved_idr + one.in_transit_idr
    free = one.available_idr + one.returned_idr
    parts = [
        Legend("paid", "di rekening penerima", "in recipients' accounts", one.paid_idr),
        Legend("bank", "dalam perjalanan", "under way", under_way),
        Legend("rest", "belum dipakai", "free", free),
    ]
    pieces = [part.part(idr(part.value)) for part in parts]
    chart = charts.bar(pieces, one.budget_idr, f"{one.cycle}: the budget of {idr(one.budget_idr)}")
    return {"of": one, "parts": parts, "chart": chart}


def _messages(report: Report) -> dict[str, Any]:
    by_state = report.messages.by_state
    known = [state for state in _MESSAGES if by_state.get(state)]
    parts = [
        Legend(kind, indonesian, english, by_state[state])
        for state in known
        for kind, indonesian, english in [_MESSAGES[state]]
    ]
    total = sum(by_state.values())
    pieces = [part.part(number(part.value)) for part in parts]
    return {
        "total": total,
        "arrived": by_state.get("delivered", 0) + by_state.get("read", 0),
        "parts": parts,
        "chart": charts.bar(pieces, total, f"{total} messages by their state"),
        "carrier": report.messages.carrier,
        "failed_by_code": report.messages.failed_by_code,
    }


def _curves(report: Report) -> list[dict[str, Any]]:
    slices = report.rates.over_time
    found = []
    for name, kind, indonesian, english in _CURVES:
        values = [getattr(one, name) for one in slices]
        if any(values):
            chart = charts.area(values, f"{english} a second over time", kind)
            found.append({"id": indonesian, "en": english, "peak": max(values), "chart": chart})
    return found


def _spans(report: Report) -> list[dict[str, Any]]:
    rows: list[tuple[str, str, Latency, StageRate | None]] = [
        (one.stage, one.from_to, one.latency_ms, one) for one in report.rates.stages
    ]
    if (flow := report.rates.registered_to_confirmed) and flow.payouts:
        rows.append(("seluruh alur · whole flow", "registered → money in the account", flow.latency_ms, None))
    longest = max((latency.p99 for _, _, latency, _ in rows), default=0)
    return [
        {
            "name": name,
            "from_to": from_to,
            "latency": latency,
            "rate": rate,
            "chart": charts.span(
                latency.p50,
                latency.p90,
                latency.p99,
                longest,
                f"{name}: half within {duration(latency.p50)}, 99% within {duration(latency.p99)}",
            ),
        }
        for name, from_to, latency, rate in rows
        if latency.count
    ]


def _failures(report: Report) -> dict[str, int]:
    found: dict[str, int] = {}
    for cycle in report.money.cycles:
        for code, count in cycle.failed_by_code.items():
            found[code] = found.get(code, 0) + count
    return dict(sorted(found.items(), key=lambda one: -one[1]))
