"""A demo removes what a demo made, and nothing else."""

from pathlib import Path

import pytest

from salur.demo import fresh
from salur.demo.fresh import NotADemo
from salur.stack.home import Home


def test_a_folder_with_anything_else_in_it_is_no_demos(tmp_path: Path) -> None:
    thesis = tmp_path / "thesis.txt"
    thesis.write_text("years of work")
    with pytest.raises(NotADemo, match="holds something else"):
        fresh.clear(Home.at(tmp_path))
    assert thesis.exists()


def test_a_demo_clears_the_one_before_and_leaves_a_chaos_run_beside_it(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    assert not fresh.clear(home)
    folder = fresh.mark(home, 1000, 7)
    outcome = home.root / "chaos" / "outcome.json"
    outcome.parent.mkdir()
    outcome.write_text("{}")
    assert fresh.clear(home)
    assert not folder.exists()
    assert outcome.exists()
    assert not fresh.clear(home)
