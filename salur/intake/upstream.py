"""Who submits, and where to: the source's name and token, the registry's public key, the broker."""

import json
import os
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Final

from salur.stack.home import Home, read_json
from salur.stack.programs import Context
from salur.stack.state import Wanted
from shared.errors import SalurError
from shared.privacy import Keyring
from shared.privacy.hpke import WELL_KNOWN_PATH, PublicKeys
from shared.settings import KafkaSettings

_FETCH_TIMEOUT_S: Final = 10


class NotConfigured(SalurError):
    """The source, its token, the registry's key or the broker is not known here."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """One source, as which files are sent."""

    source: str
    token: str = field(repr=False)
    keys: PublicKeys


def find_upstream(home: Home, source: str) -> Upstream:
    """The token from SALUR_SOURCE_TOKEN, else from the stack's secrets; the key from SALUR_REGISTRY_URL, else from the
    stack's key file. Raises NotConfigured."""
    token = os.environ.get("SALUR_SOURCE_TOKEN") or _token(home, source)
    return Upstream(source, token, _public_keys(home))


def find_kafka(home: Home) -> KafkaSettings:
    """SALUR_KAFKA, else the broker of the stack at `home`. Raises NotConfigured."""
    settings = KafkaSettings()
    if "kafka" in settings.model_fields_set:
        return settings
    context = Context(home, Wanted.load(home.wanted) or Wanted())
    if not home.ports.exists() or not context.addresses()[0]:
        raise NotConfigured(
            f"there is no stack at {home.root}", hint="`salur up` starts one; SALUR_KAFKA names a broker elsewhere"
        )
    return context.kafka_settings()


def _token(home: Home, source: str) -> str:
    tokens = read_json(home.secrets).get("source_tokens", {})
    if token := tokens.get(source):
        return str(token)
    hint = f"sources of the stack at {home.root}: {', '.join(sorted(tokens))}" if tokens else "set SALUR_SOURCE_TOKEN"
    raise NotConfigured(f"the token of the source {source} is not known", hint=hint)


def _public_keys(home: Home) -> PublicKeys:
    url = os.environ.get("SALUR_REGISTRY_URL")
    if not url:
        return Keyring.load(os.environ.get("SALUR_KEYS") or home.keys, only=("submission",)).public_keys()
    address = url.rstrip("/") + WELL_KNOWN_PATH
    if not address.startswith(("http://", "https://")):
        raise NotConfigured("SALUR_REGISTRY_URL is no http address")
    try:
        with urllib.request.urlopen(address, timeout=_FETCH_TIMEOUT_S) as response:  # noqa: S310 - checked above
            return PublicKeys.model_validate(json.load(response))
    except (OSError, ValueError, urllib.error.URLError):
        raise NotConfigured(f"no public key document at {address}", hint="is the registry up?") from None
