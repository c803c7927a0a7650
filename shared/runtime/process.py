"""How every service's process begins and ends: settings that are told in words, signals, exit codes."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import structlog
import uvloop
from pydantic import ValidationError

from shared.errors import SalurError
from shared.runtime.client import ClientStuck
from shared.settings import ProcessSettings, variable
from shared.telemetry import logs

log = structlog.get_logger()


@contextmanager
def starting(name: str) -> Iterator[None]:
    """For what a process needs before it can log: it ends with 1 and one sentence where settings or keys are not in
    order. A value is never repeated."""
    try:
        yield
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False)
        named = "; ".join(": ".join((*map(variable, map(str, p["loc"][:1])), p["msg"])) for p in problems)
        sys.exit(f"{name} cannot start: {named}")
    except SalurError as error:
        sys.exit(f"{name} cannot start: {error.message}" + (f". {error.hint}" if error.hint else ""))


def run_until_told(name: str, settings: ProcessSettings, main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Runs `main` until it ends; its event is set by SIGTERM or SIGINT. Exits with 1, and says why in the log, when it
    may not run or fails."""
    logs.configure(name, settings.instance, settings.log_level)
    if settings.nice:
        os.nice(settings.nice)  # where machines are shared, money goes before messages

    async def until_told() -> None:
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        try:
            await main(stopping)
        except* ClientStuck as stuck:
            _say(stuck)
            os._exit(1)  # the loop would wait for ever for what hangs

    try:
        uvloop.run(until_told())
    except* SalurError as refusals:
        _say(refusals)
        sys.exit(1)
    except* Exception as failures:
        for failure in failures.exceptions:
            log.critical("the service ends", exc_info=failure)
        sys.exit(1)


def _say(refusals: ExceptionGroup[SalurError]) -> None:
    for refusal in refusals.exceptions:
        log.critical("the service may not run", reason=str(refusal), hint=getattr(refusal, "hint", None))
