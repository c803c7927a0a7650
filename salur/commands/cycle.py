"""`salur cycle`: propose, approve and look at disbursement cycles (tahap), through this machine's payout service."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import typer
from rich.table import Table

from salur.console import out, print_json
from salur.inside.door import door
from salur.inside.options import HomeOption
from salur.stack.home import Home
from shared.errors import SalurError

TIMEOUT_S = 15

app = typer.Typer(no_args_is_help=True, help="Disbursement cycles: propose, approve under another name, list, show.")

Programme = Annotated[str, typer.Option(help="As in the payout service's programmes.yaml.")]
Period = Annotated[
    str, typer.Option(help="A month 2026-11, or a stage 2026-Q4 where the programme pays by the quarter.")
]
By = Annotated[str, typer.Option(help="The officer who does it.")]
Url = Annotated[
    str | None, typer.Option(envvar="SALUR_PAYOUT_URL", help="Default: the running stack's payout service.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class CycleRefused(SalurError):
    """The payout service says no; the message is its own."""


def register(parent: typer.Typer) -> None:
    """Add the commands to `parent`."""
    parent.add_typer(app, name="cycle")


@app.command()
def propose(
    programme: Programme,
    period: Period,
    budget_idr: Annotated[int, typer.Option(min=1, help="Whole rupiah for the period.")],
    by: By,
    url: Url = None,
    home: HomeOption = None,
    json: AsJson = False,
) -> None:
    """Propose to disburse a programme for one period. Nothing is ordered before another officer approves."""
    body = {"programme": programme, "period": period, "budget_idr": budget_idr, "by": by}
    _show(call("POST", "/cycles", url, body, home=home), json)


@app.command()
def approve(
    by: By,
    cycle: Annotated[str | None, typer.Argument(help="As `salur cycle list` shows it.")] = None,
    programme: Annotated[str | None, typer.Option(help="With --period, instead of the cycle.")] = None,
    period: Annotated[str | None, typer.Option(help="With --programme, instead of the cycle.")] = None,
    url: Url = None,
    home: HomeOption = None,
    json: AsJson = False,
) -> None:
    """Approve a proposed cycle: its budget is ordered from now on, and the cycle before it takes no new orders.

    For a ranked programme this is the cut-off: whoever is decided by now is ranked.
    """
    if cycle is None and programme and period:
        cycle = f"{programme}-{period}"
    if cycle is None:
        raise typer.BadParameter("say which cycle: CYCLE, or --programme and --period")
    _show(call("POST", f"/cycles/{cycle}/approve", url, {"by": by}, home=home), json)


@app.command()
def show(
    cycle: Annotated[str, typer.Argument(help="As `salur cycle list` shows it.")],
    url: Url = None,
    home: HomeOption = None,
    json: AsJson = False,
) -> None:
    """One cycle with its accounts and the counts of its payouts."""
    _show(call("GET", f"/cycles/{cycle}", url, home=home), json)


@app.command("list")
def list_cycles(url: Url = None, home: HomeOption = None, json: AsJson = False) -> None:
    """All cycles, the latest period of each programme first."""
    found = call("GET", "/cycles", url, home=home)
    if json:
        print_json(found)
        return
    table = Table("cycle", "state", "budget", "available", "paid", "confirmed", "failed", "queued", box=None)
    table.columns[0].no_wrap = True
    for column in table.columns[2:]:
        column.justify = "right"
    for one in found:
        money = ("budget_idr", "available_idr", "paid_idr")
        counts = ("confirmed", "failed", "queued")
        table.add_row(one["cycle"], one["state"], *(f"{one[name]:,}" for name in (*money, *counts)))
    out.print(table)


def _show(found: Any, json: bool) -> None:
    if json:
        print_json(found)
        return
    table = Table(show_header=False, title=found["cycle"])
    for name, value in found.items():
        if value is not None and name != "cycle":
            table.add_row(name.replace("_", " "), f"{value:,}" if isinstance(value, int) else str(value))
    out.print(table)


def call(
    method: str, path: str, url: str | None, body: dict[str, Any] | None = None, *, home: Path | None = None
) -> Any:
    """The answer's JSON, of the stack at `home` where no `url` is given.

    Raises CycleRefused with the service's own words, SalurError when it cannot be reached.
    """
    address, token = door(Home.at(home), "payout", "officer_token", url)
    try:
        status, answer = asyncio.run(_request(method, address + path, token, body))
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise SalurError(
            f"the payout service at {address} does not answer: {type(error).__name__}", hint="see `salur status`"
        ) from None
    except ValueError:
        raise SalurError(f"what answers at {address} is no payout service", hint="see `salur status`") from None
    if status >= 400:
        raise CycleRefused(_words(answer), hint=answer.get("hint", "") if isinstance(answer, dict) else "")
    return answer


async def _request(method: str, url: str, token: str, body: dict[str, Any] | None) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session,
        session.request(method, url, json=body, headers={"Authorization": f"Bearer {token}"}) as response,
    ):
        return response.status, await response.json(content_type=None)


def _words(answer: Any) -> str:
    if isinstance(answer, dict) and "error" in answer:
        return str(answer["error"])
    problems = answer.get("detail") if isinstance(answer, dict) else None
    if isinstance(problems, list):
        return "; ".join(f"{problem['loc'][-1]}: {problem['msg']}" for problem in problems)
    return "the payout service refuses the request without saying why"
