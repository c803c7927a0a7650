"""The AsyncAPI 3.0 document: every topic, its messages, and which side writes it."""

from typing import Any

from salur.contract.schemas import DRAFT, file_name, is_intake
from shared.events.envelope import CONTENT_TYPE
from shared.events.model import Data
from shared.events.topics import (
    FLOW_TOPICS,
    INTAKE_MODELS,
    OWNERS,
    PARTITIONS_EMBEDDED,
    Topic,
    intake_topic,
    outputs_of,
)

Document = dict[str, Any]


def document(version: str) -> Document:
    topics = [topic for topic in FLOW_TOPICS.values() if topic.model]
    channels = {_key(topic.name): _channel(topic) for topic in topics}
    channels |= {_key(model.TYPE): _intake_channel(model) for model in INTAKE_MODELS}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Salur",
            "version": version,
            "description": (
                "Events of the disbursement of social assistance. One topic per event type, keyed by the recipient's "
                "id and hashed to a partition as Kafka's own clients do it. Readers ignore unknown fields."
            ),
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "variables": {"bootstrap": {"default": "127.0.0.1:9092", "description": "Shown by `salur status`"}},
            }
        },
        "channels": channels,
        "operations": _operations(),
        "components": {"messages": {m.TYPE.replace(".", "-"): _message(m) for m in _models()}},
    }


def _key(name: str) -> str:
    return name.replace(".", "-")


def _models() -> list[type[Data]]:
    return [*INTAKE_MODELS, *dict.fromkeys(topic.model for topic in FLOW_TOPICS.values() if topic.model)]


def _channel(topic: Topic) -> Document:
    assert topic.model
    return {
        "address": topic.name,
        "description": _sentence(topic.model),
        "messages": {_key(topic.model.TYPE): {"$ref": f"#/components/messages/{_key(topic.model.TYPE)}"}},
        "bindings": {"kafka": _binding(topic.name, topic.retention_ms)},
    }


def _intake_channel(model: Any) -> Document:
    return {
        "address": intake_topic(model, "{source}"),
        "description": _sentence(model),
        "parameters": {"source": {"description": "The name of a configured source; only it may write here"}},
        "messages": {_key(model.TYPE): {"$ref": f"#/components/messages/{_key(model.TYPE)}"}},
        "bindings": {"kafka": {"partitions": PARTITIONS_EMBEDDED, "bindingVersion": "0.5.0"}},
    }


def _binding(name: str, retention_ms: int) -> Document:
    return {
        "topic": name,
        "partitions": PARTITIONS_EMBEDDED,
        "topicConfiguration": {"retention.ms": retention_ms},
        "bindingVersion": "0.5.0",
    }


def _message(model: type[Data]) -> Document:
    message: Document = {
        "name": model.TYPE,
        "title": model.TYPE,
        "summary": _sentence(model),
        "contentType": CONTENT_TYPE,
        "payload": {
            "schemaFormat": f"application/schema+json;version={DRAFT.rpartition('/draft/')[2].partition('/')[0]}",
            "schema": {"$ref": f"./schemas/{file_name(model)}"},
        },
        "bindings": {"kafka": {"key": {"type": "string", "description": _key_of(model)}, "bindingVersion": "0.5.0"}},
    }
    if not is_intake(model):
        message["headers"] = {
            "type": "object",
            "required": ["content-type", "sequence"],
            "properties": {
                "content-type": {"const": CONTENT_TYPE},
                "sequence": {
                    "type": "string",
                    "pattern": "^[0-9]+$",
                    "description": "Counts the events of this topic and partition without gaps, from 0",
                },
            },
        }
    return message


def _key_of(model: type[Data]) -> str:
    return "Any; the submission's id is advised" if is_intake(model) else "The event's subject"


def _operations() -> Document:
    operations: Document = {
        f"registry-receives-{_key(model.TYPE)}": {
            "action": "receive",
            "channel": {"$ref": f"#/channels/{_key(model.TYPE)}"},
            "summary": "The registry reads what a source submits",
        }
        for model in INTAKE_MODELS
    }
    for service in OWNERS:
        for name in outputs_of(service):
            operations[f"{service}-sends-{_key(name)}"] = {
                "action": "send",
                "channel": {"$ref": f"#/channels/{_key(name)}"},
                "summary": f"Written by {service} alone",
            }
    return operations


def _sentence(model: type[Data]) -> str:
    return " ".join((model.__doc__ or "").split())
