"""A chaos run as a whole: the undisturbed run, the disturbed one, and what they have to say about each other."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple

from salur.chaos import evidence, setting, story
from salur.chaos.compare import compare
from salur.chaos.drain import Drain
from salur.chaos.faults import Fault, draw
from salur.chaos.feed import Feed, File
from salur.chaos.inject import FaultLog, Injector
from salur.chaos.links import MONITOR
from salur.chaos.outcome import Outcome
from salur.chaos.passage import Passage
from salur.chaos.proxy import Proxies
from salur.chaos.state import FinalState, final_state
from salur.demo.counts import Flow
from salur.demo.flow import StandsStill
from salur.inside.connect import Settings, consumer, resolve
from salur.intake import find_kafka, find_upstream
from salur.intake.kinds import FLAGS, REGISTRATIONS
from salur.population import generate, reference_on
from salur.report import Made, find, make
from salur.stack.control import Watcher
from salur.stack.home import Home
from salur.stack.status import status
from shared.clock import now
from shared.errors import SalurError

SOURCE = "polman"
DIFFERENCES_MAX = 200
"""Differences between the runs that are told one by one."""


class Plan(NamedTuple):
    """What is asked for."""

    families: int
    faults: int
    seed: int
    brokers: int
    root: Path


@dataclass(slots=True)
class Telling:
    """Who hears what happens; nobody by default."""

    chapter: Callable[[str], None] = lambda title: None
    families: Callable[[int], None] = lambda done: None
    stack: Callable[[], AbstractContextManager[Watcher]] = field(default=lambda: nullcontext(Watcher()))
    events: Callable[[dict[str, int]], None] = lambda events: None
    fault: Callable[[Fault], None] = lambda fault: None
    drained: Callable[[str, float], None] = lambda part, seconds: None
    report: Callable[[str], None] = lambda what: None


def run(plan: Plan, telling: Telling | None = None) -> tuple[Outcome, Path]:
    """Runs everything, and returns what came of it and where the story of a broken run stands.

    Raises NotAChaosRun, and what starting a stack raises. Ctrl-C stops what was started.
    """
    return _Run(plan, telling or Telling()).run()


class _Run:
    def __init__(self, plan: Plan, telling: Telling) -> None:
        self.plan, self.tell = plan, telling
        began = now()
        self.today: date = began.date()
        self.began: datetime = began
        self.outcome = Outcome(
            seed=plan.seed,
            families=plan.families,
            brokers=plan.brokers,
            faults=plan.faults,
            command=f"salur chaos --families {plan.families} --faults {plan.faults} --seed {plan.seed} "
            f"--brokers {plan.brokers}",
        )

    def run(self) -> tuple[Outcome, Path]:
        plan, outcome = self.plan, self.outcome
        places = self.places = setting.begin(plan.root, families=plan.families, faults=plan.faults, seed=plan.seed)
        self.tell.chapter(f"{plan.families:,} families, seed {plan.seed}")
        generate(places.population, plan.families, plan.seed, reference_on(now().date()), self.tell.families)
        self.tell.chapter("the undisturbed run")
        with setting.stack(places.undisturbed, setting.quiet(places, plan.seed), self.tell.stack):
            undisturbed = asyncio.run(self._undisturbed(places.undisturbed))
        self.tell.chapter(f"the same under {plan.faults:,} faults")
        proxies = Proxies()
        try:
            setting.open_proxies(proxies, places.disturbed, plan.brokers)
            request = setting.stormy(places, plan.seed, plan.brokers)
            with setting.stack(places.disturbed, request, self.tell.stack):
                asyncio.run(self._disturbed(places.disturbed, proxies, undisturbed))
            outcome.connections, outcome.connections_broken = proxies.connections, proxies.broken
        finally:
            proxies.close()
        places.outcome.write_text(outcome.model_dump_json(indent=1), encoding="utf-8")
        setting.leave(places, good=outcome.good)
        return outcome, places.story

    async def _undisturbed(self, home: Home) -> FinalState:
        settings = resolve(home.root)
        async with self._passage(home, settings) as passage:
            await passage.run(*self._files(home, settings))
        self.outcome.undisturbed_s = round(passage.took_s, 1)
        made = await self._report(home)
        if not made.good:
            raise SalurError(
                "the undisturbed run itself breaks invariants: "
                + "; ".join([f"{one.name}: {one.detail[:1]}" for one in made.report.broken] + made.troubles),
                hint=f"`salur demo --families {self.plan.families} --seed {self.plan.seed}` shows the same flow",
            )
        return await final_state(settings, _bank(home))

    async def _disturbed(self, home: Home, proxies: Proxies, undisturbed: FinalState) -> None:
        settings, outcome, plan = resolve(home.root), self.outcome, self.plan
        log = FaultLog(self.places.faults)
        async with self._passage(home, settings) as passage:
            passage.injector = Injector(home, settings, proxies, passage.feed, log)
            flags, people = self._files(home, settings)
            faults = draw(plan.seed, plan.faults, plan.brokers)
            try:
                await passage.run(flags.shuffled(plan.seed), people.shuffled(plan.seed), faults)
                outcome.disturbed_s, outcome.drained_s = round(passage.took_s, 1), passage.drained_s
            except StandsStill as error:
                outcome.wrong.append(error.message)
            outcome.injected, outcome.missed = dict(sorted(log.done.items())), log.missed
            try:
                await self._judge(home, settings, passage, undisturbed)
            except SalurError as error:  # what is known by then is told all the same
                outcome.wrong.append(f"not everything could be looked at: {error.message}")
            if not outcome.good:
                await story.write(self.places.story, outcome, log.lines, settings)

    async def _judge(self, home: Home, settings: Settings, passage: Passage, undisturbed: FinalState) -> None:
        """Everything that must hold, as far as it can be looked at."""
        outcome = self.outcome
        made = await self._report(home)
        outcome.wrong += made.troubles
        for one in made.report.invariants:
            outcome.invariants[one.name] = one.broken
            if one.broken != 0:
                outcome.wrong += [f"{one.name}: {sentence}" for sentence in one.detail]
        outcome.recipients = made.report.funnel.recipients
        outcome.submissions = sum(one.answered for one in made.report.funnel.submissions)
        poison = await evidence.poison_found(settings, passage.feed.poison)
        outcome.poison = poison.counts
        outcome.wrong += poison.wrong
        self.tell.report("comparing with the undisturbed run")
        comparison = compare(undisturbed, await final_state(settings, _bank(home)))
        outcome.differences = len(comparison.differences)
        outcome.wrong += [str(difference) for difference in comparison.differences[:DIFFERENCES_MAX]]
        outcome.compared, outcome.by_family = comparison.compared, comparison.by_family
        outcome.unknown_messages_undisturbed, outcome.unknown_messages = comparison.unknown
        outcome.events = sum(passage.drain.events.values())
        outcome.republications = await evidence.republications(settings, passage.drain.events)
        self.tell.report("waiting for the monitor's counts")
        watched = await evidence.watched(settings, _url(home, MONITOR))
        outcome.watched = watched.events
        outcome.wrong += watched.wrong
        outcome.fenced, outcome.transactions_ended = evidence.zombies_met(home)
        outcome.restarts = evidence.restarts(home)

    async def _report(self, home: Home) -> Made:
        return await make(find(home.root, None), tell=self.tell.report)

    @asynccontextmanager
    async def _passage(self, home: Home, settings: Settings) -> AsyncIterator[Passage]:
        upstream, kafka = find_upstream(home, SOURCE), find_kafka(home)
        async with consumer(settings) as client:
            feed = Feed(kafka, upstream, self.plan.seed)
            drain = Drain(Flow(settings, client), _url(home, "carrier"), self.tell.events)
            plan, tell = self.plan, self.tell
            yield Passage(home, feed, drain, plan.families, self.today, begun=tell.fault, drained=tell.drained)

    def _files(self, home: Home, settings: Settings) -> tuple[File, File]:
        """The input; what has no time of its own has the same one in both runs."""
        upstream, folder = find_upstream(home, SOURCE), self.places.population
        return (
            File.read(folder / "flags.csv", FLAGS, upstream, settings.partitions, self.began),
            File.read(folder / "registrations.csv", REGISTRATIONS, upstream, settings.partitions, self.began),
        )


def _url(home: Home, name: str) -> str:
    port = next(process.port for process in status(home, with_lag=False).processes if process.name == name)
    return f"http://127.0.0.1:{port}"


def _bank(home: Home) -> str:
    return _url(home, "bank")
