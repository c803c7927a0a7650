"""The published contract says what the code says, is valid AsyncAPI and JSON Schema, and keeps its promises."""

import copy
import json
from pathlib import Path

import jsonschema
import pytest
from referencing import Registry, Resource

from salur.contract.compatibility import breaks
from salur.contract.examples import example
from salur.contract.files import FOLDER, differences, released
from salur.contract.schemas import all_schemas, event_schema, file_name
from shared.events import EligibilityDecided, PayoutFailed, RegistrationSubmitted
from shared.events.codec import decode, encode
from shared.events.topics import MODELS

ROOT = Path(__file__).parents[2]
SCHEMAS = all_schemas()


def test_files_say_what_the_code_says() -> None:
    assert differences(ROOT / FOLDER) == [], "run `make contract` and read what changed"


def test_no_change_breaks_the_last_release() -> None:
    old = released(ROOT / FOLDER)
    assert old, "the schemas of the last release are kept in docs/contract/released"
    assert {name: breaks(schema, SCHEMAS[name]) for name, schema in old.items() if breaks(schema, SCHEMAS[name])} == {}


def test_asyncapi_passes_the_projects_own_schema() -> None:
    schema = json.loads((Path(__file__).parent / "asyncapi-3.0.0.json").read_text())
    document = json.loads((ROOT / FOLDER / "asyncapi.json").read_text())
    validator = jsonschema.Draft7Validator(
        schema, registry=Registry().with_resource("", Resource.from_contents(schema))
    )
    assert [e.message[:200] for e in validator.iter_errors(document)] == []


def test_asyncapi_names_only_schemas_that_exist() -> None:
    document = json.loads((ROOT / FOLDER / "asyncapi.json").read_text())
    messages = document["components"]["messages"].values()
    named = {message["payload"]["schema"]["$ref"] for message in messages}
    assert named == {f"./schemas/{name}" for name in SCHEMAS}


@pytest.mark.parametrize("model", MODELS.values(), ids=lambda model: model.TYPE)
def test_examples_are_valid_and_survive_the_codec(model: type) -> None:
    event = example(model)
    raw = encode(event)
    jsonschema.Draft202012Validator(SCHEMAS[file_name(model)]).validate(json.loads(raw))
    assert decode(model, raw) == event


def test_a_reader_bears_what_a_newer_producer_adds() -> None:
    content = json.loads(encode(example(PayoutFailed)))
    content["data"]["new_field"] = content["new_attribute"] = 1
    jsonschema.Draft202012Validator(SCHEMAS[file_name(PayoutFailed)]).validate(content)
    assert decode(PayoutFailed, json.dumps(content).encode()) == example(PayoutFailed)


CHANGES = {
    "removed": lambda s: s["$defs"]["EligibilityDecided"]["properties"].pop("village"),
    "newly required": lambda s: s["$defs"]["EligibilityDecided"]["required"].append("details"),
    "no longer always there": lambda s: s["$defs"]["EligibilityDecided"]["required"].remove("outcome"),
    "type": lambda s: s["$defs"]["EligibilityDecided"]["properties"]["amount_idr"].update(type="string"),
    "values": lambda s: s["$defs"]["EligibilityDecided"]["properties"]["outcome"].update(enum=["eligible"]),
    "maximum": lambda s: s["$defs"]["EligibilityDecided"]["properties"]["decile"].update(maximum=9),
    "pattern": lambda s: s["$defs"]["EligibilityDecided"]["properties"]["village"].update(pattern="^x$"),
    "minLength": lambda s: s["$defs"]["Reason"]["properties"]["code"].update(minLength=5),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_that_breaks_somebody_is_named(what: str) -> None:
    old = event_schema(EligibilityDecided)
    new = copy.deepcopy(old)
    CHANGES[what](new)
    assert any(what in line for line in breaks(old, new)), breaks(old, new)


def test_an_optional_field_more_breaks_nobody() -> None:
    old = event_schema(RegistrationSubmitted)
    new = copy.deepcopy(old)
    new["$defs"]["RegistrationSubmitted"]["properties"]["note"] = {"type": "string"}
    assert breaks(old, new) == []
