"""A recovery with everything that the service itself would have: its settings, its configuration, its keys."""

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from salur.inside.connect import resolve
from salur.stack.home import Home
from salur.stack.programs import Context
from salur.stack.state import Wanted
from services.eligibility import recovery as eligibility
from services.eligibility.settings import EligibilitySettings
from services.monitor.recovery import MonitorRecovery
from services.notify.recovery import NotifyRecovery
from services.payout import recovery as payout
from services.payout.settings import PayoutSettings
from services.portal.recovery import PortalRecovery
from services.registry import recovery as registry
from services.registry.service import SHARES
from services.registry.settings import Settings as RegistrySettings
from shared.events.topics import Service
from shared.privacy.keyring import Keyring
from shared.runtime.recovery import Importer
from shared.settings import ServiceSettings


class Prepared(NamedTuple):
    """What `shared.runtime.recovery.recover` needs."""

    settings: ServiceSettings
    importer: Importer


def prepare(service: Service, home: Path | None, lost_at: datetime | None = None) -> Prepared:
    """Raises what the service itself would at its start: KeyMissing, a configuration that is wrong; and NotUp."""
    return _PREPARE[service](environment_of(service, home), lost_at)


def environment_of(service: Service, home: Path | None) -> dict[str, str]:
    """The service's own variables: of the stack that `salur up` started, and what this process is given before them."""
    resolve(home)
    where = Home.at(home)
    wanted = Wanted.load(where.wanted)
    of_stack = {}
    if wanted is not None:
        context = Context(where, wanted)
        of_stack = context.programs[service].launch(context, 0).env
    return {**of_stack, **os.environ}


def _registry(environment: dict[str, str], lost_at: datetime | None) -> Prepared:
    settings = RegistrySettings.of(environment)
    return Prepared(settings, registry.build(settings, Keyring.load(settings.keys, only=SHARES)))


def _eligibility(environment: dict[str, str], lost_at: datetime | None) -> Prepared:
    settings = EligibilitySettings.of(environment)
    keyring = Keyring.load(settings.keys, only=eligibility.KEYS)
    return Prepared(settings, eligibility.build(settings, keyring))


def _payout(environment: dict[str, str], lost_at: datetime | None) -> Prepared:
    settings = PayoutSettings.of(environment)
    return Prepared(settings, payout.build(settings))


def _notify(environment: dict[str, str], lost_at: datetime | None) -> Prepared:
    return Prepared(ServiceSettings.of(environment), NotifyRecovery(lost_at))


def _portal(environment: dict[str, str], lost_at: datetime | None) -> Prepared:
    return Prepared(ServiceSettings.of(environment), PortalRecovery())


def _monitor(environment: dict[str, str], lost_at: datetime | None) -> Prepared:
    return Prepared(ServiceSettings.of(environment), MonitorRecovery())


_PREPARE: Final[dict[Service, Callable[[dict[str, str], datetime | None], Prepared]]] = {
    "registry": _registry,
    "eligibility": _eligibility,
    "payout": _payout,
    "notify": _notify,
    "portal": _portal,
    "monitor": _monitor,
}
