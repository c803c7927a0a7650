"""The flow's programs and the monitor, with a proxy in each connection of a service; `wanted.json` names this table."""

from dataclasses import replace
from urllib.parse import urlsplit

from salur.chaos.links import MONITOR, SERVICES, Link, brokers_of, links_of, owners
from salur.stack.broker_settings import Properties
from salur.stack.home import Home
from salur.stack.kafka import EmbeddedKafka
from salur.stack.ports import LOOPBACK, PortBook
from salur.stack.programs import FLOW, Context, Launch, Program
from salur.stack.programs import PROGRAMS as EVERY
from shared.settings import variable

TABLE = "salur.chaos.programs:PROGRAMS"
BACKOFF_MAX_S = 4.0
"""Who is killed every few seconds would else be down for most of the run, and the flow would stand still."""


class ProxiedKafka(EmbeddedKafka):
    """A broker with one more listener for each instance of a service, whose advertised address is that of a proxy.

    Clients follow the addresses that a broker tells them. So a proxy in front of the usual listener would carry
    nothing but the first question.
    """

    def _settings(self) -> Properties:
        found = super()._settings()
        listeners, advertised, protocols = [], [], []
        for owner in owners():
            link = Link(owner, f"kafka-{self.instance}")
            name = owner.upper().replace("-", "_")
            listeners.append(f"{name}://{LOOPBACK}:{self._ports.claim(link.target_name)}")
            advertised.append(f"{name}://{LOOPBACK}:{self._ports.port(link.port_name)}")
            protocols.append(f"{name}:PLAINTEXT")
            found[f"listener.name.{name.lower()}.num.network.threads"] = 1
        for setting, more in (
            ("listeners", listeners),
            ("advertised.listeners", advertised),
            ("listener.security.protocol.map", protocols),
        ):
            found[setting] = ",".join((str(found[setting]), *more))
        return found


def proxied_url(link: Link, ports: PortBook, url: str) -> str:
    """The same URL with the proxy's host and port."""
    parts = urlsplit(url)
    login, at, _ = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{login}{at}{address(link, ports)}").geturl()


def address(link: Link, ports: PortBook) -> str:
    return f"{LOOPBACK}:{ports.port(link.port_name)}"


def ports_of(home: Home) -> PortBook:
    return PortBook(home.ports)


def _prepare_broker(context: Context, instance: int) -> None:
    ProxiedKafka(context.home.root, node_id=instance + 1, brokers=context.wanted.brokers).prepare()


_LEADS_TO = {"SALUR_POSTGRES": "postgres", "SALUR_BANK_URL": "bank", "SALUR_CARRIER_URL": "carrier"}


def _through_proxies(program: Program) -> Program:
    def launch(context: Context, instance: int) -> Launch:
        made, ports, owner = program.launch(context, instance), context.ports, f"{program.name}-{instance}"
        env = dict(made.env)
        env[variable("kafka")] = ",".join(
            address(Link(owner, broker), ports) for broker in brokers_of(context.wanted.brokers)
        )
        for link in links_of(owner, context.wanted.brokers):
            env |= {
                name: proxied_url(link, ports, env[name])
                for name, far in _LEADS_TO.items()
                if far == link.far and name in env
            }
        return made._replace(env=env)

    return replace(program, launch=launch)


PROGRAMS: tuple[Program, ...] = tuple(
    _through_proxies(program)
    if program.name in (*SERVICES, MONITOR)
    else replace(program, prepare=_prepare_broker)
    if program.name == EmbeddedKafka.name
    else program
    for program in (replace(one, backoff_max_s=BACKOFF_MAX_S) for one in EVERY if one in FLOW or one.name == MONITOR)
)
