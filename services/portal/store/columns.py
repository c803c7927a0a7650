"""Rows as the columns that `unnest` takes."""

from collections.abc import Sequence
from typing import Any


def columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    """One list for each column; `rows` is not empty."""
    return [list(column) for column in zip(*rows, strict=True)]
