"""Where a service of the stack is spoken to, and with which token."""

import os
from typing import NamedTuple

from salur.stack.home import Home, read_json
from salur.stack.ports import LOOPBACK
from shared.errors import SalurError


class Door(NamedTuple):
    """`address` has no slash at its end."""

    address: str
    token: str


def door(home: Home, service: str, secret: str, url: str | None = None) -> Door:
    """`url` and SALUR_<SECRET>, else what `salur up` wrote down. Raises SalurError where either is not known."""
    port = read_json(home.ports).get(f"{service}-0")
    address = url or (f"http://{LOOPBACK}:{port}" if port else None)
    if address is None:
        raise SalurError(f"no {service} is known here", hint="start the stack with `salur up`, or give --url")
    variable = f"SALUR_{secret.upper()}"
    token = os.environ.get(variable) or read_json(home.secrets).get(secret)
    if not token:
        raise SalurError(f"no {secret.replace('_', ' ')} for {service} is known here", hint=f"set {variable}")
    return Door(address.rstrip("/"), str(token))
