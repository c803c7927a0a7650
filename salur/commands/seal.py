"""`salur seal`: seal one submission for the registry, in a shell."""

import asyncio
import json as json_of_python
import sys
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import aiohttp
import orjson
import typer

from shared import clock
from shared.errors import SalurError
from shared.events import codec
from shared.events.envelope import Event, schema_urn
from shared.events.registrations import FlagSubmitted, RegistrationSubmitted
from shared.privacy.hpke import SUBMISSION_BYTES_MAX, WELL_KNOWN_PATH, SealedSubmission, pad_json, seal_submission
from shared.privacy.leaks import leaks

_DOCUMENT_BYTES_MAX: Final = 64 * 1024
_FETCH_TIMEOUT_S: Final = 10
_TYPES: Final[dict[str, type[RegistrationSubmitted] | type[FlagSubmitted]]] = {
    model.TYPE: model for model in (RegistrationSubmitted, FlagSubmitted)
}


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("seal")(seal)


def seal(
    source: Annotated[str, typer.Option(help="The source's name, as the event will carry it.")],
    event_id: Annotated[str, typer.Option("--id", help="The event's id, unique within the source.")],
    file: Annotated[Path | None, typer.Argument(help="JSON of one submission; without it, standard input.")] = None,
    keys_url: Annotated[str | None, typer.Option(help=f"The registry's address, or all of …{WELL_KNOWN_PATH}.")] = None,
    public_key: Annotated[Path | None, typer.Option(help="The public key document in a file instead.")] = None,
    event: Annotated[bool, typer.Option("--event", help="Print the whole CloudEvent, not its data alone.")] = False,
    event_type: Annotated[str, typer.Option("--type", help=" or ".join(_TYPES))] = RegistrationSubmitted.TYPE,
    time: Annotated[datetime | None, typer.Option(help="The event's time in UTC, with --event; default: now.")] = None,
    allow_http: Annotated[bool, typer.Option(help="Trust a key that comes without TLS from another machine.")] = False,
) -> None:
    """Seal a submission (JSON) so that only the registry can read it, and print what to publish.

    A NIK is never given on the command line, where other users of the machine and the shell's history would see it.
    """
    if event_type not in _TYPES:
        raise SalurError(f"there is no event {event_type} to seal for", hint=f"--type is {' or '.join(_TYPES)}")
    submission = _parsed(_read(file))
    if leaks(event_id, submission) or leaks(source, submission):
        raise SalurError(
            "--id or --source holds a number of the person, and both travel in the clear",
            hint="take an id of your own system, or a random one",
        )
    plaintext = pad_json(orjson.dumps(submission))
    sealed = seal_submission(_document(keys_url, public_key, allow_http), plaintext, source=source, event_id=event_id)
    typer.echo(_whole_event(event_type, source, event_id, time, sealed) if event else _data(event_type, sealed))


def _data(event_type: str, sealed: SealedSubmission) -> bytes:
    return _TYPES[event_type](sealed=sealed).model_dump_json().encode()


def _whole_event(event_type: str, source: str, event_id: str, time: datetime | None, sealed: SealedSubmission) -> bytes:
    model = _TYPES[event_type]
    at = time.replace(tzinfo=UTC) if time else clock.now()
    event: Event[Any] = Event[model](  # type: ignore[valid-type]
        id=event_id,
        source=source,
        type=event_type,
        subject=event_id,
        time=at,
        dataschema=schema_urn(model),
        data=model(sealed=sealed),
    )
    return codec.encode(event)


def _read(file: Path | None) -> bytes:
    try:
        if file is None:
            if sys.stdin.isatty():
                typer.echo("the submission's JSON, then Ctrl-D:", err=True)
            raw = sys.stdin.buffer.read(SUBMISSION_BYTES_MAX + 1)
        else:
            with file.open("rb") as stream:
                raw = stream.read(SUBMISSION_BYTES_MAX + 1)
    except OSError as error:
        # The argument is not repeated: somebody may have given a NIK in its place.
        raise SalurError(
            f"the file with the submission cannot be read: {error.strerror}",
            hint="FILE is a JSON file; a NIK is never given on the command line",
        ) from None
    if len(raw) > SUBMISSION_BYTES_MAX:
        raise SalurError(f"a submission has at most {SUBMISSION_BYTES_MAX} bytes", hint="seal one submission at a time")
    return raw


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        value = json_of_python.loads(raw.decode("utf-8"), object_pairs_hook=_without_repeats)
    except UnicodeDecodeError:
        raise SalurError("the submission is not UTF-8") from None
    except json_of_python.JSONDecodeError as error:
        raise SalurError(f"the submission is not JSON: line {error.lineno}, column {error.colno}") from None
    if not isinstance(value, dict):
        raise SalurError("the submission is not a JSON object", hint="one person, one object")
    return value


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise SalurError("a field stands twice in one object of the submission")
    return dict(pairs)


def _document(keys_url: str | None, public_key: Path | None, allow_http: bool) -> dict[str, Any]:
    if (keys_url is None) == (public_key is None):
        raise SalurError("the registry's public key is needed", hint="give either --keys-url or --public-key")
    if public_key is not None:
        try:
            raw = public_key.read_bytes()
        except OSError as error:
            raise SalurError(f"{public_key} cannot be read: {error.strerror}") from None
    else:
        assert keys_url is not None
        raw = asyncio.run(_fetch(_address(keys_url, allow_http)))
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        raise SalurError("the public key document is not a JSON object", hint=f"the registry's is at {WELL_KNOWN_PATH}")
    return document


def _address(keys_url: str, allow_http: bool) -> str:
    parts = urlsplit(keys_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SalurError("--keys-url is not an http or https address")
    if parts.scheme == "http" and not allow_http and not _is_loopback(parts.hostname):
        raise SalurError(
            "a public key that comes without TLS may be anybody's",
            hint="use https, a file that you have checked (--public-key), or --allow-http in a network that you trust",
        )
    return keys_url if parts.path.strip("/") else keys_url.rstrip("/") + WELL_KNOWN_PATH


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


async def _fetch(url: str) -> bytes:
    timeout = aiohttp.ClientTimeout(total=_FETCH_TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise SalurError(f"{url} answers {response.status}, not with a public key document")
            raw = await response.content.read(_DOCUMENT_BYTES_MAX + 1)
            while len(raw) <= _DOCUMENT_BYTES_MAX and (more := await response.content.read(_DOCUMENT_BYTES_MAX)):
                raw += more
    except (aiohttp.ClientError, TimeoutError) as error:
        raise SalurError(f"{url} cannot be fetched: {type(error).__name__}", hint="is the registry up?") from None
    if len(raw) > _DOCUMENT_BYTES_MAX:
        raise SalurError(f"{url} is too long for a public key document")
    return raw
