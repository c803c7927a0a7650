"""What came of a chaos run, as a document: `salur chaos --json` prints it and `outcome.json` keeps it."""

from pydantic import BaseModel, Field


class Outcome(BaseModel):
    """`wrong` is empty when every invariant holds and both runs ended alike."""

    seed: int
    families: int
    brokers: int
    faults: int
    """that were asked for"""
    command: str
    """that repeats the run"""
    injected: dict[str, int] = Field(default_factory=dict)
    """faults that happened, by kind"""
    missed: int = 0
    """faults whose victim was not there"""
    wrong: list[str] = Field(default_factory=list)
    invariants: dict[str, int | None] = Field(default_factory=dict)
    """of the report: how often each is broken; null: it could not be checked"""
    recipients: int = 0
    submissions: int = 0
    events: int = 0
    """on the topics of the flow"""
    compared: dict[str, int] = Field(default_factory=dict)
    """how many things of each kind were compared with the undisturbed run"""
    differences: int = 0
    """of these things that ended otherwise; the first are in `wrong`"""
    by_family: int = 0
    """recipients who were compared as families"""
    unknown_messages: int = 0
    """messages that may or may not have been sent, and are never sent again"""
    unknown_messages_undisturbed: int = 0
    poison: dict[str, int] = Field(default_factory=dict)
    """messages injected, and what became of them"""
    restarts: int = 0
    """of processes, by the supervisor"""
    fenced: int = 0
    """turns of a process that had lost its partitions, rolled back"""
    transactions_ended: int = 0
    """by the database, because their process had stopped in them"""
    republications: int = 0
    """events published twice, which readers drop"""
    watched: int = 0
    """events that the monitor counted"""
    connections: int = 0
    """through the proxies"""
    connections_broken: int = 0
    undisturbed_s: float = 0.0
    disturbed_s: float = 0.0
    """from the first input until everything was drained"""
    drained_s: dict[str, float] = Field(default_factory=dict)
    """by part of the run: how long the flow took to come to rest after the part's last fault"""

    @property
    def good(self) -> bool:
        return not self.wrong
