"""The registry's reference page lists every code with both sentences, and every column.

`python -m tests.unit.test_registry_docs` writes the tables of codes anew.
"""

from collections.abc import Mapping
from pathlib import Path

import pytest

from salur.intake.kinds import CELL_PROBLEMS, REGISTRATIONS
from services.registry.domain.problems import CATALOGUE
from services.registry.domain.submission import FLAG_CODES, Member, Submission
from shared.events import Text

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "registry.md"
TABLES: Mapping[str, Mapping[str, Text]] = {"codes": CATALOGUE, "cells": CELL_PROBLEMS}


def table(texts: Mapping[str, Text]) -> str:
    rows = "".join(f"| `{code}` | {text.id} | {text.en} |\n" for code, text in texts.items())
    return f"| code | Bahasa Indonesia | English |\n|---|---|---|\n{rows}"


def with_tables(page: str) -> str:
    for name, texts in TABLES.items():
        head, _, rest = page.partition(f"<!-- {name} -->\n")
        _, _, tail = rest.partition(f"<!-- /{name} -->\n")
        page = f"{head}<!-- {name} -->\n{table(texts)}<!-- /{name} -->\n{tail}"
    return page


def test_the_tables_of_codes_are_those_of_the_code() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_tables(page), "python -m tests.unit.test_registry_docs writes them anew"


@pytest.mark.parametrize("name", [*Submission.model_fields, *Member.model_fields, *FLAG_CODES])
def test_every_field_and_flag_is_named(name: str) -> None:
    assert f"`{name}`" in PAGE.read_text(encoding="utf-8")


def test_columns_of_files_are_the_fields_of_a_submission() -> None:
    nested = {f"account_{part}" for part in ("bank", "number", "holder")}
    columns = {*REGISTRATIONS.required, *REGISTRATIONS.optional}
    assert columns - nested - {"submitted_at"} == {*Submission.model_fields} - {"account"}


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
