"""The pages lead where they say, name commands that exist, and the tutorial's family is one that the rules accept."""

import csv
import re
from pathlib import Path

import orjson
import pytest

from salur.intake.kinds import REGISTRATIONS
from salur.main import COMMANDS
from services.registry.domain.checks import check_registration
from services.registry.reference import reference
from shared.clock import now

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_COMMAND = re.compile(r"(?:^|`|\.venv/bin/|\| |keys |payout )salur ([a-z]+)\b", re.MULTILINE)
_LATER = {"recover"}
"""Commands that a page names as not yet there."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = {link.partition("#")[0] for link in _LINK.findall(text) if "://" not in link}
    assert [target for target in sorted(targets) if target and not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_exist(page: Path) -> None:
    named = set(_COMMAND.findall(page.read_text(encoding="utf-8")))
    assert named - set(COMMANDS) - _LATER == set()


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    listed = {link.partition("#")[0] for link in _LINK.findall(index)}
    pages = {str(page.relative_to(ROOT / "docs")) for page in ROOT.glob("docs/*/*.md")}
    assert {page for page in pages if not page.startswith("decisions/")} - listed == set()


def test_the_tutorials_family_is_accepted() -> None:
    text = (ROOT / "docs/tutorial/first-run.md").read_text(encoding="utf-8")
    rows = re.findall(r"<<'END'\n(.*?)\nEND", text, re.DOTALL)[0].splitlines()
    [cells] = csv.DictReader(rows)
    assert set(REGISTRATIONS.required) <= set(cells)
    assert check_registration(orjson.dumps(REGISTRATIONS.content(cells)), reference(), now()).problems == ()
