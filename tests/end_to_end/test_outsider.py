"""A client that is not ours registers a person and reads the decision, with nothing but the published contract."""

import base64
import json
import shutil
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import jsonschema
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from tests.end_to_end.conftest import Demo

CONTRACT = Path(__file__).parents[2] / "docs" / "contract"

PERSON = {
    "nik": "7604014107850123",
    "name": "Nurhayati Contoh",
    "kk": "7604010101150123",
    "birth_date": "1985-07-01",
    "sex": "P",
    "role": "head",
    "village": "7604011001",
    "phone": "081234567890",
    "decile": 1,
    "income_idr": 600_000,
    "account": {"bank": "002", "number": "004101000123456", "holder": "Nurhayati Contoh"},
    "members": [{"birth_date": "1985-07-01", "sex": "P"}, {"birth_date": "2016-03-04", "sex": "L", "school": "sd"}],
}


def test_a_stranger_registers_a_person_and_reads_the_decision(demo: Demo) -> None:
    status = demo.status()
    ports = {p["name"]: p["port"] for p in status["processes"]}
    submission = f"outside-{uuid.uuid4().hex[:12]}"
    event = sealed_registration(ports["registry"], submission)
    publish(status["kafka"], address("registration-submitted").replace("{source}", "polman"), event)

    registered = await_event(
        status["kafka"], "recipient-registered", lambda e: e["data"]["submission"]["id"] == submission
    )
    decided = await_event(
        status["kafka"],
        "eligibility-decided",
        lambda e: e["subject"] == registered["subject"] and e["data"]["programme"] == "sembako",
    )
    assert decided["data"]["outcome"] == "eligible"
    assert decided["data"]["reasons"][0]["text"]["id"]
    assert decided["causationid"] == registered["id"]
    assert decided["correlationid"] == submission


def address(channel: str) -> str:
    document = json.loads((CONTRACT / "asyncapi.json").read_text())
    return str(document["channels"][channel]["address"])


def schema(channel: str) -> dict[str, Any]:
    document = json.loads((CONTRACT / "asyncapi.json").read_text())
    named = document["components"]["messages"][channel]["payload"]["schema"]["$ref"]
    found: dict[str, Any] = json.loads((CONTRACT / named).read_text())
    return found


def sealed_registration(port: int, submission: str) -> bytes:
    with urlopen(f"http://127.0.0.1:{port}/.well-known/salur-keys", timeout=10) as answer:
        key = json.load(answer)["keys"][0]
    public = X25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["public_key"] + "=="))
    sealed = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_128_GCM).encrypt(
        json.dumps(PERSON).encode(), public, info=f"salur/submission/v1|polman|{submission}".encode()
    )
    event = {
        "specversion": "1.0",
        "id": submission,
        "source": "polman",
        "type": "registration.submitted",
        "subject": submission,
        "time": "2026-11-24T08:00:00Z",
        "data": {
            "sealed": {"key_id": key["key_id"], "enc": _base64url(sealed[:32]), "ciphertext": _base64url(sealed[32:])}
        },
    }
    jsonschema.Draft202012Validator(schema("registration-submitted")).validate(event)
    return json.dumps(event).encode()


def publish(broker: str, topic: str, event: bytes) -> None:
    """By Debian's kcat where it is installed, else by librdkafka from Python."""
    if kcat := shutil.which("kcat"):
        subprocess.run([kcat, "-b", broker, "-t", topic, "-P", "-k", "outside"], input=event, check=True, timeout=30)
        return
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": broker, "acks": "all"})
    producer.produce(topic, value=event, key=b"outside")
    assert producer.flush(20) == 0


def await_event(broker: str, channel: str, wanted: Any, timeout_s: float = 40) -> dict[str, Any]:
    """The first event of the channel that is wanted; every one read must be valid by its published schema."""
    from confluent_kafka import Consumer

    validator = jsonschema.Draft202012Validator(schema(channel))
    consumer = Consumer(
        {
            "bootstrap.servers": broker,
            "group.id": f"outsider-{uuid.uuid4().hex}",
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
        }
    )
    consumer.subscribe([address(channel)])
    try:
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            message = consumer.poll(0.5)
            if message is None or message.error():
                continue
            event: dict[str, Any] = json.loads(message.value())
            if wanted(event):
                validator.validate(event)
                assert message.key() == event["subject"].encode()
                return event
        raise AssertionError(f"no such event on {channel} in {timeout_s} s")
    finally:
        consumer.close()


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
