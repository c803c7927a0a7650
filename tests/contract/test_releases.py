"""What earlier releases wrote is read today, and what is written today was promised to their readers."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel, ValidationError

from salur.contract.examples import example
from salur.contract.files import FOLDER, released
from salur.contract.schemas import file_name
from shared.events.codec import decode, encode
from shared.events.envelope import envelope
from shared.events.model import Data
from shared.events.topics import MODELS

ROOT = Path(__file__).parents[2]
SCHEMAS = released(ROOT / FOLDER)
BY_FILE = {file_name(model): model for model in MODELS.values()}
RECORDED = sorted((Path(__file__).parent / "released_events").glob("*/*.json"))
"""Real events of every release, as bytes: `python -m tests.contract.record_events` keeps them."""

every_type = pytest.mark.parametrize("model", MODELS.values(), ids=lambda model: model.TYPE)
every_event = pytest.mark.parametrize("path", RECORDED, ids=lambda path: f"{path.parent.name}/{path.name}")


def test_of_the_last_release_one_event_of_each_type_is_kept() -> None:
    newest = max(path.parent for path in RECORDED)
    assert {path.name for path in RECORDED if path.parent == newest} == set(SCHEMAS)


@every_event
def test_a_recorded_event_is_read_whole_and_would_be_written_as_it_was(path: Path) -> None:
    raw = path.read_bytes()
    event = decode(BY_FILE[path.name], raw)
    again = json.loads(encode(event))
    assert again == json.loads(raw), "a field was lost, or one appeared that the release did not write"


@every_event
def test_a_recorded_event_keeps_the_promise_of_its_release(path: Path) -> None:
    assert list(jsonschema.Draft202012Validator(SCHEMAS[path.name]).iter_errors(json.loads(path.read_bytes()))) == []


@every_type
def test_a_reader_of_the_last_release_reads_what_is_written_today(model: type[Data]) -> None:
    if (schema := SCHEMAS.get(file_name(model))) is None:
        pytest.skip("the last release had no such event")
    assert list(jsonschema.Draft202012Validator(schema).iter_errors(json.loads(encode(example(model))))) == []


@every_type
def test_unknown_fields_are_passed_over_wherever_they_stand(model: type[Data]) -> None:
    event = example(model)
    assert decode(model, json.dumps(_with_news(json.loads(encode(event)))).encode()) == event


@every_type
def test_unknown_fields_cannot_be_written(model: type[Data]) -> None:
    content = json.loads(encode(example(model)))
    with pytest.raises(ValidationError):
        model.model_validate_json(json.dumps(content["data"] | {"news": 1}))
    with pytest.raises(ValidationError):
        envelope(model).model_validate_json(json.dumps(content | {"news": 1}))
    for part, path in _parts(example(model).data, ("data",)):
        assert type(part).model_config["extra"] == "forbid", path


def _with_news(node: Any) -> Any:
    """With one more field in every object."""
    if isinstance(node, dict):
        return {"news": {"of": ["later"]}} | {key: _with_news(value) for key, value in node.items()}
    return [_with_news(item) for item in node] if isinstance(node, list) else node


def _parts(node: Any, path: tuple[str, ...]) -> list[tuple[BaseModel, tuple[str, ...]]]:
    """Every model inside, itself included."""
    found: list[tuple[BaseModel, tuple[str, ...]]] = []
    if isinstance(node, BaseModel):
        found.append((node, path))
        for name in type(node).model_fields:
            found += _parts(getattr(node, name), (*path, name))
    elif isinstance(node, (list, tuple)):
        for number, item in enumerate(node):
            found += _parts(item, (*path, str(number)))
    return found
