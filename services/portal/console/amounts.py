"""Rupiah as officers type them. Pure."""

import re
from typing import Final

_PLAIN: Final = r"[0-9]{1,15}"
_GROUPS: Final = "|".join(rf"[1-9][0-9]{{0,2}}(?:{mark}[0-9]{{3}}){{1,4}}" for mark in (r"\.", ",", "[ \u00a0]"))
_RUPIAH: Final = re.compile(rf"(?:Rp\.?\s*)?({_PLAIN}|{_GROUPS})", re.IGNORECASE).fullmatch


def rupiah_of(text: str) -> int | None:
    """Digits, or groups of three with one kind of mark between them, as `1.000.000`. None for anything else: with sen
    (`1.000.000,00`) it would be read as a hundred times as much."""
    found = _RUPIAH(text.strip())
    return int(re.sub(r"[^0-9]", "", found[1])) if found else None
