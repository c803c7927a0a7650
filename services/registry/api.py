"""The registry over HTTP: sources and officers submit and ask what became of it; anybody fetches the public key.

Submissions that come in here take the same way as all others: they are sealed, put on the source's intake topic, and
answered by the stage.
"""

import re
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Annotated, Any, Final, NamedTuple
from urllib.parse import quote

import asyncpg
import orjson
import structlog
from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import JSONResponse, Response
from pydantic import AwareDatetime, TypeAdapter, ValidationError

from services.registry import officers, store
from services.registry.domain.checks import check_registration, content_of, names_somebody
from services.registry.domain.problems import CATALOGUE
from services.registry.fingerprint import Fingerprint
from services.registry.reference import reference
from services.registry.sources import MODELS, Kind, Source, Sources
from shared.clock import now
from shared.errors import SalurError
from shared.events import Event
from shared.events.envelope import EventId, envelope, schema_urn
from shared.officers import Access, Officer
from shared.officers.access import bearer, looks_signed
from shared.privacy import Keyring, SealedSubmission, open_submission, seal_submission
from shared.privacy.hpke import SUBMISSION_BYTES_MAX, WELL_KNOWN_PATH, pad_json
from shared.privacy.leaks import leaks
from shared.runtime import Outbox
from shared.runtime.http import body_up_to

log = structlog.get_logger()

_BODY_BYTES_MAX: Final = 2 * SUBMISSION_BYTES_MAX
_ID = TypeAdapter(EventId)
_TIME = TypeAdapter(AwareDatetime)
_NAME_OF_EVENT: Final = re.compile(r"[\x21-\x7e]{1,200}").fullmatch
_SEALED = TypeAdapter(SealedSubmission)
_ENVELOPE_FIELDS: Final = ("id", "submitted_at", "sealed")


class NotASource(SalurError):
    """No token, or one that belongs to nobody."""

    http_status = 401


class MayNot(SalurError):
    """The source is known and may not do this."""

    http_status = 403


class UnknownSubmission(SalurError):
    """This source has not sent such a submission."""

    http_status = 404


class IdReused(SalurError):
    """The id stands for another content already."""

    http_status = 409


class BodyTooLarge(SalurError):
    """More than a submission can have."""

    http_status = 413


class NotASubmission(SalurError):
    """The body is not one submission with its id."""

    http_status = 422


class Submitter(NamedTuple):
    """Who submits: a source by its token, or an officer, who is the source `console`."""

    source: Source
    officer: Officer | None = None


def make_router(
    outbox: Outbox, keyring: Keyring, sources: Sources, fingerprint: Fingerprint, access: Access | None = None
) -> APIRouter:
    """The registry's endpoints. Without `access` no officer is let in."""
    router = APIRouter()

    @router.get(WELL_KNOWN_PATH)
    def public_keys() -> Response:
        """The public key to seal submissions with."""
        return Response(keyring.public_keys().model_dump_json(), media_type="application/json")

    for kind, path in (("registration", "/registrations"), ("flag", "/flags")):
        _add(router, kind, path, outbox, keyring, sources, fingerprint, access)  # type: ignore[arg-type]
    return router


def _add(
    router: APIRouter,
    kind: Kind,
    path: str,
    outbox: Outbox,
    keyring: Keyring,
    sources: Sources,
    fingerprint: Fingerprint,
    access: Access | None,
) -> None:
    submitter_of = _submitter_of(sources, kind, access)

    async def submit(request: Request, submitter: Annotated[Submitter, Depends(submitter_of)]) -> JSONResponse:
        source, officer = submitter
        body = await _object(request)
        if officer:
            officers.check_area(officer, body)
            body["id"] = officers.submission_id(officer, _field(_ID, body, "id"))
        submission_id = _field(_ID, body, "id")
        submitted_at = _field(_TIME, body, "submitted_at") if body.get("submitted_at") is not None else now()
        plaintext, sealed = _content(body, keyring, source.name, submission_id)
        digest = fingerprint.of_submission(kind, plaintext)
        async with outbox.transaction() as transaction:
            new, known_digest, known_kind = await store.receive(
                transaction.tx, source.name, submission_id, kind, digest, now()
            )
            if (known_digest, known_kind) != (digest, kind):
                raise IdReused("this id was used for another content", hint=CATALOGUE["id_reused"].en)
            if new and officer:
                await _check_standing(transaction.tx, keyring, officer, plaintext)
            if new:
                transaction.emit([_event(kind, source.name, submission_id, submitted_at, sealed, request)])
        row = await store.standing(outbox.pool, source.name, submission_id, kind)
        href = f"{path}/{quote(submission_id)}"
        return JSONResponse({**_standing(submission_id, row), "href": href}, 202, {"Location": href})

    async def ask(
        submission_id: Annotated[str, Path(max_length=200)], submitter: Annotated[Submitter, Depends(submitter_of)]
    ) -> JSONResponse:
        source, officer = submitter
        known = _NAME_OF_EVENT(submission_id) is not None  # else the database may not even take it as a question
        known = known and (officer is None or officers.check_own(officer, submission_id))
        row = await store.standing(outbox.pool, source.name, submission_id, kind) if known else None
        if row is None:
            raise UnknownSubmission(f"{source.name} has sent no {kind} under this id")
        return JSONResponse(_standing(submission_id, row))

    router.add_api_route(path, submit, methods=["POST"], name=f"submit a {kind}")
    router.add_api_route(f"{path}/{{submission_id:path}}", ask, methods=["GET"], name=f"what became of a {kind}")


async def _check_standing(tx: asyncpg.Connection, keyring: Keyring, officer: Officer, plaintext: bytes) -> None:
    """Raises officers.NeedsWiderArea. In the transaction that takes the submission, so that nobody moves meanwhile.

    What the stage will reject moves nobody. It is taken alike whoever it names: else an officer could find out for
    nothing whether a NIK is registered elsewhere.
    """
    checked = check_registration(plaintext, reference(), now())
    if checked.problems or checked.nik is None:
        return
    village = await store.village(tx, keyring.recipient_id(checked.nik))
    if village is None:
        return
    try:
        officers.check_standing(officer, village)
    except officers.NeedsWiderArea:
        log.warning("an officer may not register somebody of another area", officer=officer.subject, area=officer.area)
        raise


def _submitter_of(
    sources: Sources, kind: Kind, access: Access | None
) -> Callable[[Request], Coroutine[Any, Any, Submitter]]:
    async def submitter_of(request: Request) -> Submitter:
        authorization = request.headers.get("authorization")
        token = bearer(authorization)
        if access and looks_signed(token):
            officer = await access.of(authorization)
            return Submitter(officers.source_of(officer, kind, sources), officer)
        source = sources.of_token(token) if token else None
        if source is None:
            raise NotASource("this needs the token of a source", hint="send it as `Authorization: Bearer TOKEN`")
        if kind not in source.may:
            raise MayNot(f"the source {source.name} may not submit a {kind}")
        return Submitter(source)

    return submitter_of


async def _object(request: Request) -> dict[str, Any]:
    raw = await body_up_to(request, _BODY_BYTES_MAX)
    if raw is None:
        raise BodyTooLarge(f"a submission has at most {SUBMISSION_BYTES_MAX} bytes")
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise NotASubmission("the body is not JSON") from None
    if not isinstance(body, dict):
        raise NotASubmission("the body is not one JSON object")
    return body


def _field(adapter: TypeAdapter[Any], body: dict[str, Any], name: str) -> Any:
    try:
        return adapter.validate_python(body.get(name))
    except ValidationError as error:
        raise NotASubmission(f"{name}: {error.errors(include_input=False)[0]['type']}", hint=_HINTS[name]) from None


_HINTS: Final = {
    "id": "1 to 200 visible ASCII characters, unique within the source",
    "submitted_at": "a time with its zone, such as 2026-11-24T08:30:00+08:00",
    "sealed": "an object with key_id, enc and ciphertext, as the public key document describes",
}


def _content(body: dict[str, Any], keyring: Keyring, source: str, submission_id: str) -> tuple[bytes, SealedSubmission]:
    """What was submitted, and the same sealed. Raises NotASubmission; CannotOpen, Erased for what does not open."""
    rest = {name: value for name, value in body.items() if name not in _ENVELOPE_FIELDS}
    if "sealed" in body:
        if rest:
            raise NotASubmission("beside `sealed` stand only `id` and `submitted_at`")
        sealed: SealedSubmission = _field(_SEALED, body, "sealed")
        plaintext = open_submission(keyring, sealed, source=source, event_id=submission_id)
        _refuse_leak(submission_id, content_of(plaintext))
        return plaintext, sealed
    _refuse_leak(submission_id, rest)
    try:
        plaintext = pad_json(orjson.dumps(rest))
    except orjson.JSONEncodeError:  # it reads a depth that it does not write
        raise NotASubmission("the body is nested too deeply") from None
    return plaintext, seal_submission(keyring.public_keys(), plaintext, source=source, event_id=submission_id)


def _refuse_leak(submission_id: str, content: object) -> None:
    """Raises NotASubmission. Before the id stands anywhere."""
    if names_somebody(submission_id, reference()) or leaks(submission_id, content):
        raise NotASubmission("id: it holds a number of the person", hint=CATALOGUE["id_personal"].en)


def _event(
    kind: Kind, source: str, submission_id: str, at: datetime, sealed: SealedSubmission, request: Request
) -> Event[Any]:
    model = MODELS[kind]
    return envelope(model)(
        id=submission_id,
        source=source,
        type=model.TYPE,
        subject=submission_id,
        time=at,
        dataschema=schema_urn(model),
        traceparent=request.headers.get("traceparent"),
        data=model(sealed=sealed),
    )


def _standing(submission_id: str, row: Any) -> dict[str, Any]:
    if row is None or row["answer"] is None:
        return {"id": submission_id, "status": "pending"}
    told = {
        "id": submission_id,
        "status": row["answer"],
        "detail": row["detail"],
        "recipient": row["recipient_id"],
        "submitted_at": row["submitted_at"] and row["submitted_at"].isoformat(),
        "answered_at": row["answered_at"].isoformat(),
        "problems": row["problems"] and [_problem(text) for text in row["problems"]],
    }
    return {name: value for name, value in told.items() if value is not None}


def _problem(text: str) -> dict[str, Any]:
    field, _, code = text.rpartition(":")
    return {"field": field, "code": code, "text": CATALOGUE[code].model_dump()}
