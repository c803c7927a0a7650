"""JSON Schemas of whole events, made from the models."""

from typing import Any

from shared.events.envelope import envelope, schema_urn
from shared.events.model import Data
from shared.events.topics import MODELS

DRAFT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]

# Two types share a data model's form but differ by service: the topic of a dead letter names its service.
_REQUIRED_OF_OURS = ("dataschema", "traceparent", "causationid", "correlationid")


def file_name(model: type[Data], suffix: str = "json") -> str:
    return f"{model.TYPE}.v{model.VERSION}.{suffix}"


def event_schema(model: type[Data]) -> Schema:
    """The schema of one CloudEvent of this type.

    Additional properties are allowed: a reader must bear what a newer producer adds.
    """
    schema = envelope(model).model_json_schema(mode="serialization")
    properties = schema["properties"]
    properties["type"] = {"const": model.TYPE}
    if not is_intake(model):
        properties["dataschema"] = {"const": schema_urn(model)}
        for name in _REQUIRED_OF_OURS[1:]:
            properties[name] = _without_null(properties[name])
    schema["required"] = sorted({*schema["required"], *_always_written(model)})
    schema["title"] = model.TYPE
    schema["description"] = " ".join((model.__doc__ or "").split())
    return {"$schema": DRAFT, "$id": schema_urn(model), **_open(schema)}


def is_intake(model: type[Data]) -> bool:
    """Whether sources write it, and not Salur."""
    return model.TYPE.endswith(".submitted")


def all_schemas() -> dict[str, Schema]:
    """Every schema by its file name."""
    return {file_name(model): event_schema(model) for model in MODELS.values()}


def _always_written(model: type[Data]) -> tuple[str, ...]:
    return ("specversion",) if is_intake(model) else ("specversion", "datacontenttype", *_REQUIRED_OF_OURS)


def _open(node: Any) -> Any:
    """Without `additionalProperties: false`, without titles that only repeat names, and never null: absent instead."""
    if isinstance(node, dict):
        kept = {
            key: value
            for key, value in node.items()
            if not (key == "additionalProperties" and value is False)
            and not (key == "title" and isinstance(value, str) and "properties" not in node)
            and not (key == "default" and value is None)
        }
        return _without_null({key: _open(value) for key, value in kept.items()})
    if isinstance(node, list):
        return [_open(item) for item in node]
    return node


def _without_null(node: Schema) -> Schema:
    choices = node.get("anyOf")
    if not isinstance(choices, list) or {"type": "null"} not in choices:
        return node
    left = [choice for choice in choices if choice != {"type": "null"}]
    rest = {key: value for key, value in node.items() if key not in ("anyOf", "default")}
    return {**left[0], **rest} if len(left) == 1 else {"anyOf": left, **rest}
