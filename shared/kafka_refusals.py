"""Why Kafka cannot be reached, in words, with the setting to look at.

aiokafka's clients only say that no broker could be used, so a connection is tried once more and its error read.
"""

import asyncio
import ssl
from typing import NamedTuple

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from shared.errors import Trouble
from shared.settings import KafkaSettings

_TRY_MS = 5_000


class KafkaAway(Trouble):
    """No broker answers, or none lets this client in; the hint names the setting to look at."""


class _Told(NamedTuple):
    what: str
    hint: str


async def refusal(settings: KafkaSettings, error: BaseException) -> KafkaAway:
    """What to tell about a client that could not be started because of `error`."""
    told = _Told(
        f"Kafka at {settings.kafka} does not answer ({type(error).__name__})",
        "`salur status` shows what runs; SALUR_KAFKA says where it is",
    )
    for host, port, _ in collect_hosts(settings.kafka, randomize=False):
        if (found := await _try(settings, host, port)) and (reason := await _reason(settings, host, port, found)):
            told = reason
            break
    return KafkaAway(told.what, hint=told.hint)


async def _try(settings: KafkaSettings, host: str, port: int) -> BaseException | None:
    """The error of one connection and one request; None when there is none."""
    options = {name: value for name, value in settings.client_options().items() if name != "bootstrap_servers"}
    try:
        connection = await create_conn(host, port, request_timeout_ms=_TRY_MS, **options)
    except (KafkaError, OSError) as error:
        return error
    try:
        await connection.send(MetadataRequest([]))
    except (KafkaError, OSError) as error:
        return error
    finally:
        connection.close()
    return None


async def _reason(settings: KafkaSettings, host: str, port: int, error: BaseException) -> _Told | None:
    """None where the error tells nothing about settings."""
    place, protocol = f"Kafka at {host}:{port}", f"SALUR_KAFKA_SECURITY_PROTOCOL ({settings.kafka_security_protocol})"
    match error:
        case ssl.SSLCertVerificationError():
            return _certificate(settings, place, error)
        case ssl.SSLError() | ConnectionResetError() if settings.speaks_tls:
            return _Told(f"{place} does not speak TLS", f"look at {protocol} and at the port in SALUR_KAFKA")
        case SaslAuthenticationFailed():
            return _Told(
                f"{place} does not let {settings.kafka_sasl_username} in with {settings.kafka_sasl_mechanism}",
                "look at SALUR_KAFKA_SASL_USERNAME and SALUR_KAFKA_SASL_PASSWORD, and whether the broker knows this "
                "user under SALUR_KAFKA_SASL_MECHANISM",
            )
        case UnsupportedSaslMechanismError():
            return _Told(f"{place} does not take {settings.kafka_sasl_mechanism}", "look at SALUR_KAFKA_SASL_MECHANISM")
        case IllegalSaslStateError():
            return _Told(f"{place} asks nobody who they are", f"look at {protocol}: PLAINTEXT or SSL")
        case KafkaConnectionError() if not settings.speaks_tls and await _speaks_tls(host, port):
            return _Told(f"{place} speaks TLS", f"look at {protocol}: SSL or SASL_SSL")
        case KafkaConnectionError():
            return _Told(
                f"{place} hangs up", f"look at {protocol}: does this port ask for a name, or speak another protocol?"
            )
    return None


def _certificate(settings: KafkaSettings, place: str, error: ssl.SSLCertVerificationError) -> _Told:
    what = f"the certificate of {place} does not hold: {error.verify_message}"
    if "match" in error.verify_message:
        return _Told(what, "SALUR_KAFKA must name the brokers as their certificates do")
    trusted = settings.kafka_ca_file or "not set: this machine's own authorities are trusted"
    return _Told(what, f"SALUR_KAFKA_CA_FILE ({trusted}) must hold the authority that signed it")


async def _speaks_tls(host: str, port: int) -> bool:
    """Whether a TLS handshake succeeds, whoever's certificate it is: nothing is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(_TRY_MS / 1000):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
