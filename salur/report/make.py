"""The report as a whole: in which order everything is looked at.

Books of others first, then topics, then each service's tables in the order of the flow: so whatever is seen early must
be known to what is looked at later, and nothing has to stand still.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from time import perf_counter

import asyncpg

from salur.inside.audit import AuditResult
from salur.report import answers, audited, books, dead, defects, effort, funnel, messages, money, rates
from salur.report.bank import Comparison
from salur.report.complete import Completeness
from salur.report.document import Defects, Funnel, Invariant, Messages, Money, Rates, Report
from salur.report.merging import rare_collections, snapshot
from salur.report.places import Places
from salur.report.scratch import Scratch
from salur.report.topics import Passed, read_topics
from shared.clock import now
from shared.events import RecipientRegistered
from shared.events.topics import STAGES, Service
from shared.reading import partitions_of

NO_AUDIT = "the topics were not read (--no-audit)"
ORDER = (
    "paid_twice_in_a_cycle",
    "ledger_balanced",
    "ledger_equals_bank",
    "budget_kept",
    "told_twice_on_a_channel",
    "every_submission_answered_once",
    "nothing_lost",
    "sequences_gapless",
    "digests_right",
    "rows_agree_with_events",
)
"""All invariants, in the order in which they are told."""


@dataclass(slots=True)
class Made:
    """The report, and what could not be looked at although it should be there."""

    report: Report
    troubles: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not self.report.broken and not self.troubles


async def make(places: Places, *, audit: bool = True, tell: Callable[[str], None] = lambda what: None) -> Made:
    """`tell` hears what is being looked at. Raises Away, NeverRan, CannotRead, KeyMissing, NoTruth."""
    with Scratch() as scratch, rare_collections():
        return await _Maker(places, audit, tell, scratch).run()


@dataclass(slots=True)
class _Maker:
    places: Places
    audit: bool
    tell: Callable[[str], None]
    scratch: Scratch
    troubles: list[str] = field(default_factory=list)
    invariants: dict[str, Invariant] = field(default_factory=dict)
    funnel: Funnel = field(default_factory=Funnel)
    money: Money = field(default_factory=Money)
    messages: Messages = field(default_factory=Messages)
    defects: Defects | None = None
    rates: Rates = field(default_factory=lambda: Rates(reported_at=now()))

    async def run(self) -> Made:
        started = perf_counter()
        auditing = asyncio.create_task(audited.audit(self.places.settings)) if self.audit else None
        try:
            await self._read()
            if auditing:
                self.tell("auditing the topics")
                await auditing
        finally:
            if auditing and not auditing.done():
                auditing.cancel()
                await asyncio.wait([auditing])
        self._audited(auditing.result() if auditing else None)
        self.rates.cpu = await effort.efforts(self.places.processes, self.funnel.recipients)
        self.rates.seconds = round(perf_counter() - started, 2)
        report = Report(
            invariants=[self.invariants[name] for name in ORDER],
            funnel=self.funnel,
            defects=self.defects,
            money=self.money,
            messages=self.messages,
            rates=self.rates,
        )
        return Made(report, self.troubles)

    async def _read(self) -> None:
        self.tell("reading the books of the bank and the carrier")
        bank = await self._books("bank", self.places.bank)
        carrier = await self._books("carrier", self.places.carrier)
        passed = None
        if self.audit:
            self.tell("reading the topics")
            passed = await read_topics(self.places.settings, self.scratch)
        async with AsyncExitStack() as stack:
            at: dict[Service, asyncpg.Connection] = {
                stage: await stack.enter_async_context(snapshot(self.places.settings, stage)) for stage in STAGES
            }
            letters = await dead.letters(self.places.settings)
            await self._people(at, letters, passed)
            await self._money(at["payout"], bank)
            await self._messages(at["notify"], carrier)
            await self._defects(at["registry"], at["eligibility"], at["payout"])
            if passed:
                await self._rates(at["payout"], passed)

    async def _books(self, whose: str, url: str | None) -> str | None:
        """Why they are not at hand; None: they are."""
        if url is None:
            return f"there are no books of the {whose} at hand (SALUR_{whose.upper()}_URL says where they are)"
        try:
            await (books.read_bank if whose == "bank" else books.read_carrier)(url, self.scratch)
        except books.BooksAway as error:
            self.troubles.append(error.message)
            return error.message
        return None

    async def _people(self, at: dict[Service, asyncpg.Connection], letters: dead.Dead, passed: Passed | None) -> None:
        self.tell("following everybody through the stages")
        await funnel.submissions(at["registry"], self.funnel)
        await funnel.decisions(at["eligibility"], self.funnel)
        await funnel.payouts(at["payout"], self.funnel)
        topic = RecipientRegistered.TYPE
        partitions = await partitions_of(self.places.settings, [topic])
        complete = Completeness(letters, partitions.get(topic, self.places.settings.partitions))
        await complete.decided(at["registry"], at["eligibility"], self.funnel)
        await complete.heard(at["eligibility"], at["payout"], self.funnel)
        await complete.ordered(at["payout"])
        self._keep(complete.invariant)
        if passed:
            self._keep(await answers.answered_once(at["registry"], self.scratch, passed.intake, letters, self.funnel))
        else:
            self._unchecked("every_submission_answered_once", NO_AUDIT)

    async def _money(self, payout: asyncpg.Connection, no_books: str | None) -> None:
        self.tell("comparing the ledger with the bank's books")
        await money.cycles(payout, self.money)
        self._keep(await money.ledger_balanced(payout))
        comparison = Comparison()
        if no_books is None and self.places.bank:
            try:
                await comparison.run(payout, self.scratch, self.places.bank, self.money)
            except books.BooksAway as error:
                self.troubles.append(error.message)
                no_books = error.message
        if no_books is not None:
            comparison.equal.unchecked(no_books)
            comparison.twice.unchecked(no_books)
        self._keep(comparison.equal)
        self._keep(comparison.twice)
        self._keep(money.budget_kept(self.money))

    async def _messages(self, notify: asyncpg.Connection, no_books: str | None) -> None:
        self.tell("comparing the messages with the carrier's books")
        await messages.states(notify, self.messages)
        if no_books is None:
            self._keep(await messages.told_twice(notify, self.scratch, self.messages))
        else:
            self._unchecked("told_twice_on_a_channel", no_books)

    async def _defects(
        self, registry: asyncpg.Connection, eligibility: asyncpg.Connection, payout: asyncpg.Connection
    ) -> None:
        if self.places.truth is None:
            return
        self.tell("looking for what was planted")
        paying = frozenset(one.programme for one in self.money.cycles if one.state != "proposed")
        keyring = self.places.settings.keyring("identity")
        self.defects = await defects.find(
            self.places.truth, self.places.tokens, keyring, registry, eligibility, payout, paying, self.scratch
        )

    async def _rates(self, payout: asyncpg.Connection, passed: Passed) -> None:
        cycles = await payout.fetch("SELECT cycle, programme, approved_at FROM cycle WHERE approved_at IS NOT NULL")
        self.rates = rates.rates(
            passed.moments,
            self.scratch,
            {row["cycle"]: int(row["approved_at"].timestamp() * rates.SECOND) for row in cycles},
            {row["cycle"]: row["programme"] for row in cycles},
            self.rates.reported_at,
        )

    def _audited(self, result: AuditResult | None) -> None:
        for one in audited.invariants(result, NO_AUDIT):
            self._keep(one)

    def _keep(self, invariant: Invariant) -> None:
        self.invariants[invariant.name] = invariant

    def _unchecked(self, name: str, why: str) -> None:
        one = Invariant(name=name)
        one.unchecked(why)
        self._keep(one)
