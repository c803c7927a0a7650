"""Bars as SVG: shapes only, stretched to the width that they are given; the number stands beside each as text."""

from typing import Final

from markupsafe import Markup, escape

_WIDTH: Final = 1000


def bar(value: int | None, whole: int, label: str, colour: int = 1) -> Markup:
    """A bar of the length `value` of `whole`. What is hidden has no bar; what is there at all can be seen."""
    if value is None or whole <= 0:
        return Markup("")
    width = max(4, round(min(1.0, value / whole) * _WIDTH)) if value else 0
    return Markup(  # noqa: S704 - shapes of our own, the label escaped
        f'<svg class="bar" role="img" aria-label="{escape(label)}" viewBox="0 0 {_WIDTH} 10" '
        f'preserveAspectRatio="none"><rect class="rail" width="{_WIDTH}" height="10"/>'
        f'<rect class="c{colour}" width="{width}" height="10"/></svg>'
    )
