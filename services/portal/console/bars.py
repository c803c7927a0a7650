"""Stacked bars as SVG: colours come from the style sheet by class, so the pages need no inline style."""

from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

WIDTH: Final = 1000
_LEAST: Final = 4
"""What is there at all is seen, however small its share."""
_BAR: Final = Markup(
    '<svg class="bar" height="{height}" viewBox="0 0 {width} {height}" preserveAspectRatio="none" role="img" '
    'aria-label="{label}">'
    '<rect class="rail" width="{width}" height="{height}"/>{parts}</svg>'
)
_PART: Final = Markup('<rect class="{kind}" x="{x}" width="{width}" height="{height}"/>')


def bar(parts: Sequence[tuple[str, int]], label: str, *, whole: int | None = None, height: int = 18) -> Markup:
    """`parts`: class and size of each segment, from the left; `whole`: what the full width is, else their sum."""
    total = max(whole or 0, sum(size for _, size in parts), 1)
    drawn, x = Markup(), 0.0
    for kind, size in parts:
        if size > 0:
            width = min(max(WIDTH * size / total, _LEAST), WIDTH - x)
            drawn += _PART.format(kind=kind, x=f"{x:.1f}", width=f"{width:.1f}", height=height)
            x += width
    return _BAR.format(width=WIDTH, height=height, label=label, parts=drawn)
