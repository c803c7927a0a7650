"""The stages as the fuzzer sees them: their topics, good messages, and what shows that one was handled."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from salur.contract.examples import example
from shared.events import (
    EligibilityDecided,
    FlagSubmitted,
    NotificationSent,
    PayoutConfirmed,
    PayoutFailed,
    RecipientFlagged,
    RecipientRegistered,
    RegistrationSubmitted,
)
from shared.events.codec import encode
from shared.events.topics import Service, intake_topic, replay_topic, topic_named
from shared.privacy import Keyring
from tests.fuzz.messages import Junkyard, Made, Special, broken_boxes, broken_submissions, event_of
from tests.integration.eligibility_desk import Registry, family, recipient
from tests.integration.registry_desk import RIGHT, TOKENS

BASES = 24
JUNK_FROM = 9_000_000
"""Numbers of people in what is spoilt, so that they are none of the good ones."""


@dataclass(frozen=True)
class Fuzzed:
    """One service. `handled`: a query for all that were handled; of a good message `made(n)` gives name and value."""

    service: Service
    main: str
    """The topic on which good messages come."""
    others: tuple[str, ...]
    made: Callable[[int], tuple[str, bytes]]
    handled: str
    junk: dict[str, Junkyard]
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def topics(self) -> tuple[str, ...]:
        return (self.main, *self.others)

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(name for name in self.topics if not name.startswith("replay."))

    def good(self, n: int) -> Made:
        key, value = self.made(n)
        return Made("good", "good", key.encode(), value, [])


def fuzzed(service: Service, keyring: Keyring, folder: Path, seed: int, large: bool = True) -> Fuzzed:
    return _MAKERS[service](keyring, folder, seed, large)


def _registry(keyring: Keyring, folder: Path, seed: int, large: bool) -> Fuzzed:
    registrations, flags = intake_topic(RegistrationSubmitted, "polman"), intake_topic(FlagSubmitted, "polman")
    sources = folder / "sources.json"
    told = {"name": "polman", "token_sha256": hashlib.sha256(TOKENS["polman"].encode()).hexdigest()}
    sources.write_text(json.dumps([{**told, "may": ["registration", "flag"]}]))

    def made(n: int) -> tuple[str, bytes]:
        day, serial = n // 9_999 % 28 + 1, n % 9_999 + 1
        content = RIGHT | {"nik": f"760401{day + 40:02d}0890{serial:04d}", "birth_date": f"1990-08-{day:02d}"}
        return f"good-{n}", event_of(keyring, f"good-{n}", "polman", content)

    bases = [event_of(keyring, f"base-{n}", "polman", RIGHT) for n in range(BASES)]
    flag_bases = [base.replace(b"registration.submitted", b"flag.submitted") for base in bases]
    broken = {
        registrations: broken_submissions(keyring, "polman", RegistrationSubmitted),
        flags: broken_submissions(keyring, "polman", FlagSubmitted),
    }
    replay = replay_topic("registry")
    junk = _junk(
        {registrations: bases, flags: flag_bases, replay: bases + flag_bases},
        seed,
        large,
        broken | {replay: broken[registrations]},
    )
    query = "SELECT id FROM registry.submission WHERE answer = 'registered'"
    return Fuzzed("registry", registrations, (flags, replay), made, query, junk, {"SALUR_SOURCES": str(sources)})


def _eligibility(keyring: Keyring, folder: Path, seed: int, large: bool) -> Fuzzed:
    registry = Registry(keyring)

    def made(n: int) -> tuple[str, bytes]:
        who = recipient(n)
        return who, encode(registry.registered(who, family(n)))

    numbers = range(JUNK_FROM, JUNK_FROM + BASES)
    registered = [made(n)[1] for n in numbers]
    flagged = [encode(registry.flagged(recipient(n), "deceased")) for n in numbers]
    main, flags, replay = RecipientRegistered.TYPE, RecipientFlagged.TYPE, replay_topic("eligibility")
    broken = broken_boxes(registered, "eligibility")
    junk = _junk(
        {main: registered, flags: flagged, replay: registered + flagged},
        seed,
        large,
        {main: broken, replay: broken, flags: broken_boxes(flagged, "flags")},
    )
    return Fuzzed(
        "eligibility", main, (flags, replay), made, "SELECT DISTINCT recipient_id FROM eligibility.decision", junk
    )


def _payout(keyring: Keyring, folder: Path, seed: int, large: bool) -> Fuzzed:
    main, replay = EligibilityDecided.TYPE, replay_topic("payout")
    bases = [_decided(n)[1] for n in range(JUNK_FROM, JUNK_FROM + BASES)]
    junk = _junk({main: bases, replay: bases}, seed, large)
    return Fuzzed("payout", main, (replay,), _decided, "SELECT DISTINCT recipient_id FROM payout.decision", junk)


def _notify(keyring: Keyring, folder: Path, seed: int, large: bool) -> Fuzzed:
    main, replay = EligibilityDecided.TYPE, replay_topic("notify")
    decided = [_decided(n)[1] for n in range(JUNK_FROM, JUNK_FROM + BASES)]
    paid = {model.TYPE: [encode(example(model))] * 2 for model in (PayoutConfirmed, PayoutFailed)}
    everything = [*decided, *paid[PayoutConfirmed.TYPE], *paid[PayoutFailed.TYPE]]
    junk = _junk({main: decided, **paid, replay: everything}, seed, large)
    environment = {
        "SALUR_CARRIER_URL": "http://127.0.0.1:9",
        "SALUR_CARRIER_TOKEN": "carrier-token",
        "SALUR_CARRIER_SECRET": "carrier-secret",
        "SALUR_QUIET_TIME_S": "100000",  # nothing is sent here
    }
    query = "SELECT DISTINCT recipient_id FROM notify.decision"
    return Fuzzed("notify", main, (*paid, replay), _decided, query, junk, environment)


def _portal(keyring: Keyring, folder: Path, seed: int, large: bool) -> Fuzzed:
    """It reads every type of the flow; these stand for those about people."""
    models = (RecipientRegistered, PayoutConfirmed, PayoutFailed, NotificationSent)
    bases = {model.TYPE: [encode(example(model))] * 2 for model in models}
    decided = [_decided(n)[1] for n in range(JUNK_FROM, JUNK_FROM + BASES)]
    main, replay = EligibilityDecided.TYPE, replay_topic("portal")
    everything = [*decided, *(value for values in bases.values() for value in values)]
    junk = _junk({main: decided, **bases, replay: everything}, seed, large)
    query = "SELECT DISTINCT recipient_id FROM portal.decision"
    return Fuzzed("portal", main, (*bases, replay), _decided, query, junk)


def _decided(n: int) -> tuple[str, bytes]:
    event = example(EligibilityDecided).model_copy(update={"id": f"{n:032x}", "subject": recipient(n)})
    return event.subject, encode(event)


def _junk(
    good: dict[str, Sequence[bytes]], seed: int, large: bool, special: dict[str, Special] | None = None
) -> dict[str, Junkyard]:
    return {
        topic: Junkyard(seed * 100 + n, values, topic_named(topic).sequenced, (special or {}).get(topic), large)
        for n, (topic, values) in enumerate(good.items())
    }


_MAKERS: dict[Service, Callable[[Keyring, Path, int, bool], Fuzzed]] = {
    "registry": _registry,
    "eligibility": _eligibility,
    "payout": _payout,
    "notify": _notify,
    "portal": _portal,
}

__all__ = ["Fuzzed", "fuzzed"]
