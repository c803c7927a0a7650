"""The report as a document: `salur report --json` prints it, docs/reference/report.md describes it.

A number that could not be counted is null: the bank's books are not at hand, or the topics were not read.
"""

from datetime import datetime

from pydantic import BaseModel, Field

EXAMPLES_MAX = 20
"""Examples that an invariant names."""


class Invariant(BaseModel):
    """Something that must always hold. `broken` counts how often it does not; null: it could not be checked."""

    name: str
    broken: int | None = 0
    detail: list[str] = Field(default_factory=list)
    """up to EXAMPLES_MAX sentences that name recipients, references, cycles or messages; nothing personal"""

    def wrong(self, sentence: str) -> None:
        """One more."""
        self.broken = (self.broken or 0) + 1
        if len(self.detail) < EXAMPLES_MAX:
            self.detail.append(sentence)

    def more(self, count: int) -> None:
        """As many more, of which no sentence says anything."""
        self.broken = (self.broken or 0) + count

    def unchecked(self, why: str) -> None:
        self.broken, self.detail = None, [f"not checked: {why}"]


class Title(BaseModel):
    """What people call a programme."""

    id: str
    en: str


class SubmissionFunnel(BaseModel):
    """One kind of submission. `waiting`: sent and not answered yet. `dead`: among the registry's dead letters."""

    kind: str
    sent: int | None = None
    waiting: int | None = None
    dead: int = 0
    answered: int = 0
    answers: dict[str, int] = Field(default_factory=dict)
    """by answer and detail, as `registered new`, `unchanged older`, `rejected`"""
    rejected_by_code: dict[str, int] = Field(default_factory=dict)
    """a submission with several problems counts once under each code"""


class ProgrammeFunnel(BaseModel):
    """One programme, from decision to money. The counts from `no_open_cycle` on are of the eligible and add up."""

    programme: str
    title: Title | None = None
    decided: int = 0
    eligible: int = 0
    eligible_idr: int = 0
    ineligible_by_reason: dict[str, int] = Field(default_factory=dict)
    """a decision with several reasons counts once under each"""
    cycle: str | None = None
    """the open one"""
    no_open_cycle: int = 0
    not_yet_considered: int = 0
    queued: int = 0
    ordered: int = 0
    at_the_bank: int = 0
    confirmed: int = 0
    failed: int = 0
    cancelled: int = 0


class Funnel(BaseModel):
    submissions: list[SubmissionFunnel] = Field(default_factory=list)
    recipients: int = 0
    families: int = 0
    flagged: int = 0
    """registered recipients with a flag that stands"""
    eligible: int = 0
    """recipients who are eligible in at least one programme"""
    paid: int = 0
    """recipients with at least one confirmed payout"""
    programmes: list[ProgrammeFunnel] = Field(default_factory=list)
    waiting_for_eligibility: int = 0
    waiting_for_payout: int = 0
    """decisions that payout has not read yet"""


class DefectClass(BaseModel):
    """Planted against found. planted = found + missed + waiting."""

    defect: str
    kind: str
    """`number`, `double`, `form` or `flag`"""
    planted: int = 0
    found: int = 0
    missed: int = 0
    waiting: int = 0
    false_alarm: int = 0
    kept_idr: int | None = None
    """rupiah of one cycle that were not paid because of it; null: who it concerns is to be paid once it is mended"""
    paid_idr: int = 0
    """rupiah of that cycle that were paid all the same: before a flag was known, or because it was missed"""


class Defects(BaseModel):
    families: int
    seed: int | None = None
    classes: list[DefectClass]
    planted: int
    found: int
    missed: int
    waiting: int
    false_alarm: int
    kept_idr: int
    paid_idr: int
    programmes: list[str]
    """whose cycles `kept_idr` is reckoned over: the latest approved one of each"""


class CycleMoney(BaseModel):
    """One cycle: its accounts and its payouts."""

    cycle: str
    programme: str
    period: str
    mode: str
    state: str
    budget_idr: int
    available_idr: int
    reserved_idr: int
    in_transit_idr: int
    paid_idr: int
    returned_idr: int
    orders: int = 0
    """attempts for which budget was ever reserved"""
    orders_idr: int = 0
    voided_idr: int = 0
    queued: int = 0
    queued_idr: int = 0
    ordered: int = 0
    at_the_bank: int = 0
    confirmed: int = 0
    failed: int = 0
    cancelled: int = 0
    failed_by_code: dict[str, int] = Field(default_factory=dict)
    """attempts, those that a further attempt followed too"""
    bank_idr: int | None = None
    """by the bank's books"""


class Difference(BaseModel):
    """One reference that the ledger and the bank's books tell differently. null: not there."""

    reference: str
    cycle: str | None = None
    recipient: str | None = None
    state: str | None = None
    ledger_idr: int | None = None
    bank_idr: int | None = None
    what: str


class BankBooks(BaseModel):
    """The ledger against the bank's own books, reference by reference."""

    lines: int = 0
    amount_idr: int = 0
    ledger_lines: int = 0
    ledger_idr: int = 0
    equal: int = 0
    in_transit: int = 0
    """paid by the bank, and the answer is still on its way: no difference"""
    in_transit_idr: int = 0
    differences: int = 0
    listed: list[Difference] = Field(default_factory=list)


class Money(BaseModel):
    cycles: list[CycleMoney] = Field(default_factory=list)
    bank: BankBooks | None = None
    contradictions: int = 0
    """what the bank said that cannot be true, for a person to look at"""


class MessageState(BaseModel):
    """`kind`: decision or payout. `got`: how many of them a phone got, by the carrier's books."""

    channel: str
    kind: str
    state: str
    messages: int
    got: int | None = None


class CarrierBooks(BaseModel):
    got: int = 0
    known: int = 0
    unknown_to_notify: int = 0
    not_yet_known: int = 0
    """got by a phone, and the webhook that says so is still on its way"""
    delivered_not_got: int = 0
    """told as delivered, and in the carrier's books on no phone"""


class Messages(BaseModel):
    states: list[MessageState] = Field(default_factory=list)
    by_state: dict[str, int] = Field(default_factory=dict)
    failed_by_code: dict[str, int] = Field(default_factory=dict)
    carrier: CarrierBooks | None = None


class Latency(BaseModel):
    """Milliseconds."""

    count: int = 0
    p50: float = 0
    p90: float = 0
    p99: float = 0
    longest: float = 0


class StageRate(BaseModel):
    """`stage`: registry, eligibility, payout, bank, notify, carrier. `from_to`: which two moments the latency lies
    between."""

    stage: str
    from_to: str
    events: int = 0
    per_s: float = 0
    """on average over the seconds in which it had any"""
    peak_per_s: float = 0
    """in its best five seconds"""
    latency_ms: Latency = Field(default_factory=Latency)


class Flow(BaseModel):
    """Registered → confirmed, over the largest stretch of registrations without a pause."""

    recipients: int = 0
    payouts: int = 0
    registering_s: float = 0
    until_99_percent_confirmed_s: float | None = None
    recipients_per_s: float | None = None
    latency_ms: Latency = Field(default_factory=Latency)
    """from the registration, or the cycle's approval where that came later, until the money was in the account"""
    by_programme: dict[str, Latency] = Field(default_factory=dict)


class ProcessEffort(BaseModel):
    """CPU of one process since it started. `us_per_recipient`: microseconds over all registered recipients."""

    process: str
    instance: int
    cpu_s: float
    share: float
    us_per_recipient: float | None = None
    memory_bytes: int | None = None


class Second(BaseModel):
    """How many of each in one slice of the flow, for the chart."""

    at_s: float
    registered: float
    decided: float
    ordered: float
    confirmed: float
    told: float


class Rates(BaseModel):
    reported_at: datetime
    seconds: float = 0
    """that the report took"""
    stages: list[StageRate] = Field(default_factory=list)
    registered_to_confirmed: Flow | None = None
    over_time: list[Second] = Field(default_factory=list)
    """events a second, in slices of equal length over the flow"""
    cpu: list[ProcessEffort] = Field(default_factory=list)


class Report(BaseModel):
    """The whole."""

    invariants: list[Invariant]
    funnel: Funnel
    defects: Defects | None
    money: Money
    messages: Messages
    rates: Rates

    @property
    def broken(self) -> list[Invariant]:
        return [one for one in self.invariants if one.broken]

    @property
    def unchecked(self) -> list[Invariant]:
        return [one for one in self.invariants if one.broken is None]
