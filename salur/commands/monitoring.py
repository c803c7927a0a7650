"""`salur monitoring targets`."""

import typer

from salur.console import print_json
from salur.inside.options import HomeOption
from salur.stack.home import Home
from salur.stack.scraping import targets

app = typer.Typer(no_args_is_help=True, help="What Prometheus needs to know of a running stack.")


def register(parent: typer.Typer) -> None:
    """Adds this module's commands."""
    parent.add_typer(app, name="monitoring")


@app.command("targets")
def targets_command(home: HomeOption = None) -> None:
    """Print where every process of the running stack tells its metrics, for Prometheus' `file_sd_configs`."""
    print_json(targets(Home.at(home)))


@app.callback()
def monitoring() -> None:
    """Keeps it a group with a single command."""
