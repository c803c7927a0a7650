"""Errors of validation name the field and what is wrong, and repeat nothing of the input."""

import json
from datetime import date
from typing import Any, Literal

import pytest
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from shared.privacy.http_errors import install, validation_body
from shared.privacy.scrub import scrub_errors


class Member(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: Literal["member"]
    school: Literal["sd", "smp"] | None = None


class Pet(BaseModel):
    kind: Literal["pet"]


class Form(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    nik: str = Field(pattern=r"^\d{16}$")
    birth_date: date
    decile: int = Field(le=10)
    member: Member | Pet = Field(discriminator="kind")

    @field_validator("nik")
    @classmethod
    def _no(cls, nik: str) -> str:
        raise ValueError(f"{nik} of region {nik[:6]} is unknown, tell Siti Aminah")


BAD_FORM = {
    "nik": "7604011203870001",
    "birth_date": "Siti Aminah 12 March",
    "decile": "1234567890123",
    "member": {"kind": "Aminah", "school": "SITI"},
    "7604011203870001": 1,
    "extra_column": "Siti Aminah",
}
PRIVATE = ("7604011203870001", "Siti", "Aminah", "SITI", "1234567890123", "12 March")


def _problems_of(form: dict[str, Any]) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        Form.model_validate(form)
    return caught.value


def test_errors_repeat_nothing_of_the_input() -> None:
    problems = scrub_errors(_problems_of(BAD_FORM | {"nik": "Siti Aminah"}))
    text = json.dumps(problems)
    for private in PRIVATE:
        assert private not in text
    assert all(set(problem) == {"loc", "type", "msg"} for problem in problems)
    assert {p["loc"][0] for p in problems} == {"nik", "birth_date", "decile", "member", "[nik]", "extra_column"}
    by_field = {p["loc"][0]: p for p in problems}
    assert by_field["nik"]["msg"] == r"String should match pattern '^\d{16}$'"
    assert by_field["extra_column"]["type"] == "extra_forbidden"


def test_messages_of_our_own_validators_are_scrubbed() -> None:
    form = {"nik": "7604011203870001", "birth_date": "1987-03-12", "decile": 1, "member": {"kind": "pet"}}
    (problem,) = scrub_errors(_problems_of(form))
    assert problem["msg"] == "Value error, [input] of region 760401 is unknown, tell Siti Aminah"


async def _answer(app: FastAPI, body: bytes) -> tuple[int, str]:
    """One POST /forms, straight through ASGI."""
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": "/forms", "raw_path": b"/forms", "query_string": b"limit=SITI", "root_path": "",
        "headers": [(b"content-type", b"application/json")], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)  # type: ignore[arg-type]
    return sent[0]["status"], b"".join(m.get("body", b"") for m in sent[1:]).decode()


def _app() -> FastAPI:
    app = FastAPI()

    @app.post("/forms")
    async def post(form: Form, limit: int = 3) -> None: ...

    return app


async def test_fastapis_422_carries_no_input() -> None:
    assert "SITI" in (await _answer(_app(), json.dumps(BAD_FORM).encode()))[1], "what FastAPI does by itself"
    app = _app()
    install(app)
    status, text = await _answer(app, json.dumps(BAD_FORM | {"nik": "Siti Aminah"}).encode())
    assert status == 422
    for private in PRIVATE:
        assert private not in text
    assert {tuple(p["loc"][:2]) for p in json.loads(text)["detail"]} >= {("query", "limit"), ("body", "birth_date")}
    status, text = await _answer(app, b'{"nik": "7604011203870001", SITI')
    assert (status, json.loads(text)["detail"][0]["type"]) == (422, "json_invalid")
    assert "7604" not in text


def test_the_body_is_fastapis_own_shape() -> None:
    error = RequestValidationError(_problems_of(BAD_FORM).errors())
    assert set(validation_body(error)) == {"detail"}
