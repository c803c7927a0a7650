"""The audit of all topics against their databases, in a process of its own beside the rest of the report."""

import asyncio
import signal
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Final

from salur.inside.audit import AuditResult, Kind, verify
from salur.inside.connect import Settings
from salur.report.document import EXAMPLES_MAX, Invariant
from salur.report.merging import rare_collections
from shared.errors import SalurError, Trouble

_INVARIANTS: Final[dict[str, frozenset[Kind]]] = {
    "sequences_gapless": frozenset({Kind.GAP, Kind.NO_SEQUENCE, Kind.MISSING, Kind.UNKNOWN_TO_DATABASE}),
    "digests_right": frozenset({Kind.DIGEST, Kind.REPUBLICATION_DIFFERS, Kind.UNREADABLE}),
    "rows_agree_with_events": frozenset(
        {
            Kind.ROW_DIFFERS,
            Kind.ROW_MISSING,
            Kind.ROW_UNTOLD,
            Kind.SAID_TWICE,
            Kind.REVISIONS,
            Kind.ROWS_CONTRADICT,
        }
    ),
}


class AuditEnded(Trouble):
    """The audit's process ended without a result."""


def invariants(result: AuditResult | None, why_not: str = "") -> list[Invariant]:
    """What an audit says about the three invariants that only it can tell; None: there was no audit."""
    made = []
    for name, kinds in _INVARIANTS.items():
        one = Invariant(name=name)
        if result is None:
            one.unchecked(why_not)
        else:
            one.broken = sum(result.counts.get(kind, 0) for kind in kinds)
            one.detail = [finding.detail for finding in result.findings if finding.kind in kinds][:EXAMPLES_MAX]
        made.append(one)
    return made


async def audit(settings: Settings) -> AuditResult:
    """Raises what `verify` raises, and AuditEnded."""
    here, there = get_context("spawn").Pipe(duplex=False)
    process = get_context("spawn").Process(target=_run, args=(there, settings), daemon=True)
    process.start()
    there.close()
    try:
        found = await asyncio.to_thread(_receive, here)
    finally:
        process.terminate()
        await asyncio.to_thread(process.join)
        here.close()
    if isinstance(found, AuditResult):
        return found
    raise found


def _receive(pipe: Connection) -> AuditResult | SalurError:
    try:
        found: AuditResult | SalurError = pipe.recv()
    except EOFError:
        return AuditEnded("the audit ended without a result", hint="`salur audit verify` runs it alone")
    return found


def _run(pipe: Connection, settings: Settings) -> None:
    """In the audit's process. Ctrl-C is the parent's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    found: AuditResult | SalurError
    try:
        with rare_collections():
            found = asyncio.run(verify(settings))
    except SalurError as error:
        found = AuditEnded(error.message, hint=error.hint)
    with suppress(BrokenPipeError):
        pipe.send(found)
