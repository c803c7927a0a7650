"""The table of programs that make up a stack. A further service is one line in `PROGRAMS`."""

import http.client
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Final, NamedTuple

import salur
from salur.stack.credentials import Credentials, credentials, sources_file
from salur.stack.home import Home
from salur.stack.kafka import EmbeddedKafka
from salur.stack.ports import LOOPBACK, PortBook
from salur.stack.postgres import EmbeddedPostgres
from salur.stack.process import Identity
from salur.stack.server import Server
from salur.stack.state import Wanted
from shared.settings import KafkaSettings, variable

_CODE = Path(salur.__file__).parent.parent
_TEMPLATES = _CODE / "services" / "notify" / "templates.json"
_PHONE_NUMBER_ID = "106540352242922"
_CARRIER_RATE = "1000"
"""Messages a second of the simulated carrier, where the user does not say another."""
STOP_SERVICES, STOP_SIMULATORS, STOP_KAFKA, STOP_POSTGRES = range(4)


@dataclass(frozen=True)
class Context:
    """What a program's command line is made from."""

    home: Home
    wanted: Wanted

    @cached_property
    def programs(self) -> "dict[str, Program]":
        return table(self.wanted)

    def addresses(self) -> tuple[str | None, str | None]:
        """Of Kafka and of PostgreSQL with its password; None where the stack has neither its own nor a given one."""
        kafka = self.kafka if self.wanted.kafka or "kafka" in self.programs else None
        return kafka, self.postgres if self.wanted.postgres or "postgres" in self.programs else None

    @property
    def ports(self) -> PortBook:
        return PortBook(self.home.ports)

    @cached_property
    def credentials(self) -> Credentials:
        return credentials(self.home.secrets)

    def instances(self, program: "Program") -> int:
        """How many processes of this program there should be."""
        if program.name == EmbeddedKafka.name:
            return self.wanted.brokers
        return self.wanted.scale.get(program.name, 1) if program.scalable else 1

    @property
    def kafka(self) -> str:
        """The addresses of all brokers."""
        return self.wanted.kafka or ",".join(self.broker(number).address for number in range(self.wanted.brokers))

    def broker(self, instance: int) -> EmbeddedKafka:
        return EmbeddedKafka(self.home.root, node_id=instance + 1, brokers=self.wanted.brokers)

    def kafka_settings(self) -> KafkaSettings:
        """How a client is let in by this stack's Kafka."""
        if self.wanted.kafka:
            return KafkaSettings.of({**self.wanted.kafka_access, variable("kafka"): self.wanted.kafka})
        return KafkaSettings(kafka=self.kafka, kafka_security_protocol="PLAINTEXT", replication=self.wanted.brokers)

    @property
    def postgres(self) -> str:
        """The URL with its password."""
        return self.wanted.postgres or EmbeddedPostgres(self.home.root).address

    def port(self, name: str, instance: int = 0) -> int:
        return self.ports.port(f"{name}-{instance}")

    def url(self, name: str, instance: int = 0) -> str:
        return f"http://{LOOPBACK}:{self.port(name, instance)}"


class Launch(NamedTuple):
    """A process to start; `env` is added to the supervisor's environment."""

    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: Path
    port: int | None


@dataclass(frozen=True, slots=True)
class Program:
    """One kind of process. `launch` is pure; `prepare` may take a while and runs before each start."""

    name: str
    launch: Callable[[Context, int], Launch]
    ready: Callable[[Context, int], bool]
    prepare: Callable[[Context, int], None]
    depends_on: tuple[str, ...] = ()
    scalable: bool = False
    version: str = ""
    stop_rank: int = STOP_SERVICES
    stop_signal: signal.Signals = signal.SIGTERM
    grace_s: float = 10
    backoff_max_s: float = 30.0
    """the longest wait before it is started again after it crashed many times in a row"""
    running: Callable[[Context, int], Identity | None] | None = None
    """Finds a process that no supervisor wrote down, where the mark in its environment cannot."""


PUBLIC: Final = "portal-public"
"""Under this name stands the port of the portal's pages; its own is for metrics and readiness."""


def answers(context: Context, name: str, instance: int, path: str) -> bool:
    """Whether GET `path` at the program's port answers 200."""
    connection = http.client.HTTPConnection(LOOPBACK, context.port(name, instance), timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def python_program(
    name: str,
    module: str,
    *,
    arguments: Callable[[Context, int], tuple[str, ...]] = lambda context, instance: (),
    env: Callable[[Context, int], dict[str, str]] = lambda context, instance: {},
    prepare: Callable[[Context], None] = lambda context: None,
    ready_path: str = "/readyz",
    depends_on: tuple[str, ...] = (),
    scalable: bool = False,
    stop_rank: int = STOP_SERVICES,
    options_as_env: bool = False,
    also_ports: tuple[str, ...] = (),
) -> Program:
    """`python -m module` with one HTTP port, and those named in `also_ports`.

    The user's options for it (`--set NAME.option=value`) become arguments, or variables with `options_as_env`.
    """

    def launch(context: Context, instance: int) -> Launch:
        options = context.wanted.options.get(name, {})
        more_arguments: tuple[str, ...] = ()
        more_env: dict[str, str] = {}
        if options_as_env:
            more_env = {f"SALUR_{option.upper()}": value for option, value in options.items()}
        else:
            more_arguments = tuple(text for option, value in options.items() for text in (f"--{option}", value))
        argv = (sys.executable, "-m", module, *arguments(context, instance), *more_arguments)
        every_env = {"PYTHONUNBUFFERED": "1", **env(context, instance), **more_env}
        return Launch(argv, every_env, _CODE, context.port(name, instance))

    def before(context: Context, instance: int) -> None:
        for port in (name, *also_ports):
            context.ports.claim(f"{port}-{instance}")
        prepare(context)

    return Program(
        name,
        launch,
        ready=lambda context, instance: answers(context, name, instance, ready_path),
        prepare=before,
        depends_on=depends_on,
        scalable=scalable,
        version=version("salur"),
        stop_rank=stop_rank,
    )


def _keys_of(context: Context, name: str) -> Path:
    return Path(context.wanted.keys) if context.wanted.keys else context.home.keys_of(name)


def _narrow_keys(context: Context, name: str, shares: tuple[str, ...]) -> None:
    """Makes the part of the key file with exactly these shares, where the stack has keys of its own."""
    if context.wanted.keys:
        return
    from shared.privacy import keyfile  # heavy, and only for this

    part = _keys_of(context, name)
    held = keyfile.read(part) if part.exists() else None
    if held is None or {*held.keys, *(("identity",) if held.identity else ())} != {*shares}:
        keyfile.ensure(context.home.keys)
        keyfile.narrow(context.home.keys, shares, part)


def service(
    name: str,
    *,
    opens: tuple[str, ...] = (),
    knows: tuple[str, ...] = (),
    holds_keys: bool = True,
    scalable: bool = True,
    ready_path: str = "/readyz",
    also_ports: tuple[str, ...] = (),
) -> Program:
    """`python -m services.NAME`.

    It gets a key file with the shares in `opens` and nothing else (none at all unless it `holds_keys`), and the
    credentials of the outside systems that it `knows`.
    """

    def prepare(context: Context) -> None:
        if holds_keys:
            _narrow_keys(context, name, (*opens, "recovery"))

    def env(context: Context, instance: int) -> dict[str, str]:
        return {
            **context.kafka_settings().environment(),
            "SALUR_POSTGRES": context.postgres,
            **({"SALUR_KEYS": str(_keys_of(context, name))} if holds_keys else {}),
            "SALUR_HTTP_PORT": str(context.port(name, instance)),
            "SALUR_INSTANCE": str(instance),
            "SALUR_HOME": str(context.home.root),
            "SALUR_OIDC_ISSUER": context.url("issuer"),
            **({"SALUR_PORTAL_PORT": str(context.port(PUBLIC, instance))} if PUBLIC in also_ports else {}),
            **{key: value for system in knows for key, value in _OUTSIDE[system](context).items()},
        }

    return python_program(
        name,
        f"services.{name}",
        env=env,
        prepare=prepare,
        ready_path=ready_path,
        depends_on=("kafka", "postgres"),
        scalable=scalable,
        options_as_env=True,
        also_ports=also_ports,
    )


def _knows_sources(context: Context) -> dict[str, str]:
    return {"SALUR_SOURCES": str(sources_file(context.home, context.credentials))}


def _knows_bank(context: Context) -> dict[str, str]:
    return {"SALUR_BANK_URL": context.url("bank"), "SALUR_BANK_TOKEN": context.credentials.bank_token}


def _knows_carrier(context: Context) -> dict[str, str]:
    rate = float(context.wanted.options.get("carrier", {}).get("rate", _CARRIER_RATE))
    instances = max(1, context.wanted.scale.get("notify", 1))
    return {
        "SALUR_CARRIER_URL": context.url("carrier"),
        "SALUR_CARRIER_TOKEN": context.credentials.carrier_token,
        "SALUR_CARRIER_SECRET": context.credentials.carrier_secret,
        "SALUR_CARRIER_PHONE_NUMBER_ID": _PHONE_NUMBER_ID,
        "SALUR_NICE": "10",
        "SALUR_CARRIER_RATE": f"{rate / instances:g}",  # they share what the carrier takes
    }


def _knows_lookup(context: Context) -> dict[str, str]:
    return {
        "SALUR_LOOKUP_URL": context.url("lookup"),
        "SALUR_LOOKUP_TOKEN": context.credentials.lookup_token,
        "SALUR_PORTAL_SECRET": context.credentials.portal_secret,
        "SALUR_PORTAL_SECURE": "false",  # http on this machine alone
        "SALUR_NICE": "10",
    }


def _lookup() -> Program:
    """Not a stage: it has the identity key, a port and a token, and neither Kafka nor a database."""

    def prepare(context: Context) -> None:
        _narrow_keys(context, "lookup", ("identity",))

    def env(context: Context, instance: int) -> dict[str, str]:
        return {
            "SALUR_KEYS": str(_keys_of(context, "lookup")),
            "SALUR_HTTP_PORT": str(context.port("lookup", instance)),
            "SALUR_LOOKUP_TOKEN": context.credentials.lookup_token,
        }

    return python_program("lookup", "services.lookup", env=env, prepare=prepare, options_as_env=True)


def _knows_officers(context: Context) -> dict[str, str]:
    return {"SALUR_OFFICER_TOKEN": context.credentials.officer_token}


def _knows_keeper(context: Context) -> dict[str, str]:
    return {"SALUR_RESEAL_TOKEN": context.credentials.reseal_token}


def _knows_console(context: Context) -> dict[str, str]:
    """Where the acts of officers go, and how the console proves itself to the officers' issuer."""
    return {
        "SALUR_PORTAL_URL": context.url(PUBLIC),
        "SALUR_OIDC_CLIENT_SECRET": context.credentials.issuer_secret,
        "SALUR_PORTAL_PRIVATE_URL": context.url("portal"),
        **{f"SALUR_{name.upper()}_URL": context.url(name) for name in ("registry", "eligibility", "payout", "notify")},
    }


_OUTSIDE: dict[str, Callable[[Context], dict[str, str]]] = {
    "sources": _knows_sources,
    "bank": _knows_bank,
    "carrier": _knows_carrier,
    "officers": _knows_officers,
    "keeper": _knows_keeper,
    "lookup": _knows_lookup,
    "console": _knows_console,
}


def _simulator(name: str, arguments: Callable[[Context], tuple[str, ...]]) -> Program:
    def common(context: Context, instance: int) -> tuple[str, ...]:
        port, data = context.port(name, instance), context.home.root / name
        return ("--port", str(port), "--data", str(data), *arguments(context))

    return python_program(name, f"simulators.{name}", arguments=common, ready_path="/health", stop_rank=STOP_SIMULATORS)


def _server(kind: type[Server], at: Callable[[Context, int], Server], stop_rank: int) -> Program:
    """An embedded server as a program of the table; left out when its address is given."""

    def launch(context: Context, instance: int) -> Launch:
        server = at(context, instance)
        command = server.command()
        return Launch(command.argv, {**command.env}, command.cwd, server.port)

    return Program(
        kind.name,
        launch,
        ready=lambda context, instance: at(context, instance).ready(),
        prepare=lambda context, instance: at(context, instance).prepare(),
        version=kind.version,
        stop_rank=stop_rank,
        stop_signal=kind.stop_signal,
        grace_s=kind.grace_s,
        running=lambda context, instance: at(context, instance).running(),
    )


PROGRAMS: tuple[Program, ...] = (
    _server(EmbeddedKafka, Context.broker, STOP_KAFKA),
    _server(EmbeddedPostgres, lambda context, instance: EmbeddedPostgres(context.home.root), STOP_POSTGRES),
    _simulator("bank", lambda context: ("--token", context.credentials.bank_token)),
    _simulator(
        "carrier",
        lambda context: (
            *("--token", context.credentials.carrier_token),
            *("--secret", context.credentials.carrier_secret),
            *("--phone-number-id", _PHONE_NUMBER_ID),
            *("--templates", str(_TEMPLATES)),
            *(() if "rate" in context.wanted.options.get("carrier", {}) else ("--rate", _CARRIER_RATE)),
            *("--webhook", f"{context.url('notify')}/webhooks/whatsapp"),
        ),
    ),
    _simulator(
        "issuer",
        lambda context: (
            *("--issuer", context.url("issuer")),
            *("--client-secret", context.credentials.issuer_secret),
            *("--redirect", f"{context.url(PUBLIC)}/console/signed-in"),
        ),
    ),
    service(
        "registry", opens=("identity", "submission", "eligibility", "payment", "contact"), knows=("sources", "keeper")
    ),
    service("eligibility", opens=("eligibility", "particulars")),
    service("payout", opens=("payment",), knows=("bank", "officers")),
    service("notify", opens=("contact", "access"), knows=("carrier",)),
    _lookup(),
    service("portal", opens=("particulars", "access"), knows=("lookup", "console"), also_ports=(PUBLIC,)),
    # Nobody waits for it: it opens nothing, and counts what was while it was away.
    service("monitor", holds_keys=False, scalable=False, ready_path="/healthz"),
)
FLOW = tuple(program for program in PROGRAMS if program.name not in ("issuer", "lookup", "monitor"))
"""Without sign-in, look-up and monitor, from which nothing in the flow follows: where nobody uses them."""
FLOW_TABLE = f"{__name__}:FLOW"


def table(wanted: Wanted) -> dict[str, Program]:
    """The programs of this stack by name, without the servers whose addresses are given."""
    module, _, name = wanted.table.partition(":")
    programs: tuple[Program, ...] = getattr(import_module(module), name)
    given = {"kafka": wanted.kafka, "postgres": wanted.postgres}
    return {program.name: program for program in programs if not given.get(program.name)}
