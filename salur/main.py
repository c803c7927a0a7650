"""The command line. Commands are found by the table below and loaded when they are used, so that `--help` is quick."""

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from salur.stack.room import no_room
from shared.errors import SalurError

COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("stack", "Start what is missing and wait until every process is ready."),
    "status": ("stack", "Show processes, pids, ports, versions, memory and lag."),
    "down": ("stack", "Stop everything that `salur up` started; data stays."),
    "demo": ("demo", "The whole flow on generated families, with live progress and the report."),
    "population": ("population", "Write made-up families of Polewali Mandar, with the truth beside them."),
    "register": ("register", "Send a CSV file of registrations and see what came of each row."),
    "flag": ("flag", "Send a CSV file of other agencies' exclusion flags."),
    "seal": ("seal", "Seal one submission for the registry."),
    "cycle": ("cycle", "Disbursement cycles: propose, approve, list, show."),
    "chaos": ("chaos", "The whole flow under random faults, compared with an undisturbed run."),
    "report": ("report", "Funnel, defects, money, messages, speed, and every invariant."),
    "trace": ("trace", "One recipient's story through every stage."),
    "alerts": ("alerts", "What is wrong now, where to look and what to do."),
    "audit": ("audit", "Prove that topics and databases say what was written."),
    "dlq": ("dlq", "Dead letters: list, show, and put back."),
    "resume": ("resume", "Let a stage go on that stopped at a sequence gap or on a flood of poison."),
    "recover": ("recover", "Bring a restored database up to its own topics."),
    "portal": ("portal", "What people see: rebuild it from the topics, publish open figures."),
    "keys": ("keys", "Keys: list, rotate, destroy."),
    "contract": ("contract", "Write AsyncAPI, JSON Schemas and examples of every event."),
    "monitoring": ("monitoring", "Where Prometheus finds the processes of a running stack."),
    "topics": ("topics", "Topics of the flow: sizes, retention, lag; `check` finds drift."),
}
"""Command, the module of `salur.commands` whose `register` adds it, and its line in `salur --help`."""


class LazyGroup(TyperGroup):
    """Loads a command's module when the command is called; the overview is made from the table alone."""

    _overview = False

    def list_commands(self, ctx: Any) -> list[str]:
        return [name for name, (module, _) in COMMANDS.items() if find_spec(f"salur.commands.{module}")]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.list_commands(ctx):
            return None
        module, text = COMMANDS[cmd_name]
        if self._overview:
            return TyperCommand(cmd_name, help=text)
        loaded = typer.Typer()
        loaded.callback()(lambda: None)  # so that it is a group even with a single command
        import_module(f"salur.commands.{module}").register(loaded)
        return typer.main.get_group(loaded).commands[cmd_name]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self._overview = True
        super().format_help(ctx, formatter)


class _App(typer.Typer):
    """Shows an error that was raised on purpose as its message and hint, without a traceback."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().__call__(*args, **kwargs)
        except SalurError as error:
            _show(error)
        except OSError as error:
            refusal = no_room(error)
            if refusal is None and error.filename is None:
                raise
            _show(refusal or SalurError(f"{error.filename}: {error.strerror}"))
        sys.exit(1)


def _show(error: SalurError) -> None:
    first, newline, rest = error.message.partition("\n")
    typer.echo(typer.style(first, fg="red") + newline + rest, err=True)
    if error.hint:
        typer.echo(error.hint, err=True)


app = _App(cls=LazyGroup, no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)


@app.callback()
def salur() -> None:
    """Salur channels social assistance from a registration to money in an account and a message on a phone."""
