"""Small charts as SVG: shapes only, stretched to the width they are given; every word stands beside them as HTML.

Colours are CSS classes (`c-paid`, `c-queued` …), so that light, dark and print decide them in one place.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from markupsafe import Markup, escape

_WIDTH: Final = 1000


class Part(NamedTuple):
    """One piece of a bar. `kind` is its colour's name."""

    kind: str
    label: str
    value: float


def bar(parts: Sequence[Part], whole: float, label: str, height: int = 18) -> Markup:
    """A bar of pieces, of the full width when they add up to `whole`. A piece that is there at all can be seen."""
    shown = [part for part in parts if part.value > 0]
    if whole <= 0:
        shown = []
    widths = [max(part.value / whole * _WIDTH, 4) for part in shown]
    over = max(sum(widths) / _WIDTH, 1)
    rects, x = [], 0.0
    for part, width in zip(shown, (width / over for width in widths), strict=True):
        gap = 2 if x + width < _WIDTH - 1 else 0
        rects.append(
            f'<rect class="c-{part.kind}" x="{x:.1f}" y="0" width="{max(width - gap, 1):.1f}" height="{height}">'
            f"<title>{escape(part.label)}</title></rect>"
        )
        x += width
    return _svg(f'<rect class="c-rail" width="{_WIDTH}" height="{height}"/>' + "".join(rects), height, label, "bar")


def area(values: Sequence[float], label: str, kind: str, height: int = 40) -> Markup:
    """Values over time, each on the scale of its own peak."""
    peak = max(values, default=0)
    if peak <= 0 or len(values) < 2:
        return _svg("", height, label, "area")
    step = _WIDTH / (len(values) - 1)
    points = [f"{i * step:.1f},{height - 1 - value / peak * (height - 3):.1f}" for i, value in enumerate(values)]
    line = " ".join(points)
    return _svg(
        f'<polygon class="c-{kind} soft" points="0,{height} {line} {_WIDTH},{height}"/>'
        f'<polyline class="s-{kind}" points="{line}"/>',
        height,
        label,
        "area",
    )


def span(p50: float, p90: float, p99: float, longest: float, label: str, height: int = 16) -> Markup:
    """How long something took, on a scale where each step is ten times the one before: a mark at the median, a thick
    line to p90, a thin one to p99. All spans with the same `longest` have the same scale, from 1 ms on."""
    top = math.log10(max(longest, 10))

    def x(ms: float) -> float:
        return min(max(math.log10(max(ms, 1)) / top, 0), 1) * (_WIDTH - 12) + 6

    middle = height / 2
    ticks = "".join(
        f'<rect class="c-tick" x="{x(10**power):.1f}" y="0" width="1.5" height="{height}"/>'
        for power in range(int(top) + 1)
    )
    return _svg(
        f"{ticks}"
        f'<rect class="c-told soft" x="{x(p50):.1f}" y="{middle - 1}" width="{x(p99) - x(p50) + 1:.1f}" height="2"/>'
        f'<rect class="c-told" x="{x(p50):.1f}" y="{middle - 3}" width="{x(p90) - x(p50) + 1:.1f}" height="6"/>'
        f'<rect class="c-ink" x="{x(p50) - 3:.1f}" y="{middle - 6}" width="6" height="12"/>',
        height,
        label,
        "span",
    )


def _svg(inner: str, height: int, label: str, kind: str) -> Markup:
    return Markup(  # noqa: S704 - shapes of our own, labels escaped
        f'<svg class="chart {kind}" role="img" aria-label="{escape(label)}" viewBox="0 0 {_WIDTH} {height}" '
        f'height="{height}" preserveAspectRatio="none">{inner}</svg>'
    )
