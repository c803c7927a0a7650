"""docs/reference/states.md says what the tables of transitions say."""

from pathlib import Path

from salur.contract import states

ROOT = Path(__file__).parents[2]


def test_the_page_is_current() -> None:
    assert not states.differs(ROOT / states.FILE), "run `make contract` and read what changed"


def test_every_table_of_states_is_on_the_page() -> None:
    in_code = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in ROOT.glob("services/*/domain/states.py")
    }
    assert {machine.module for machine in states.machines()} == in_code


def test_every_state_can_be_reached() -> None:
    for machine in states.machines():
        reached, before = {""}, set[str]()
        while reached != before:
            before = set(reached)
            reached |= {step.target for step in machine.steps if step.source in reached}
        assert reached == {name for step in machine.steps for name in (step.source, step.target)}


def test_a_changed_page_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "states.md"
    assert states.write(path)
    assert not states.write(path)
    path.write_text(path.read_text() + "\n")
    assert states.differs(path)
