"""The books of the bank and of the carrier: NDJSON, streamed into the scratch file."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import orjson

from salur.report.scratch import Scratch
from shared.errors import Trouble

_CHUNK_BYTES = 1 << 18
_SILENCE_S = 30


class BooksAway(Trouble):
    """Books cannot be read."""


async def read_bank(url: str, scratch: Scratch) -> None:
    """Every rupiah that moved. Raises BooksAway."""
    await _read(url, "bank", scratch, lambda line: (line["reference"], line["amount_idr"]))


async def read_carrier(url: str, scratch: Scratch) -> None:
    """Every message that a phone got; of the phone nothing is kept. Raises BooksAway."""
    await _read(url, "carrier", scratch, lambda line: (line["callback_data"] or "",))


async def amounts_of(url: str, references: set[str]) -> dict[str, int]:
    """What the bank's books say now of these references; those that are not in them are left out. Raises BooksAway."""
    found: dict[str, int] = {}
    async for lines in _lines(url, "bank"):
        for line in lines:
            if line["reference"] in references:
                found[line["reference"]] = found.get(line["reference"], 0) + line["amount_idr"]
    return found


async def _read(url: str, whose: str, scratch: Scratch, row: Callable[[Any], tuple[Any, ...]]) -> None:
    async for lines in _lines(url, whose):
        made = [row(line) for line in lines]
        scratch.add(whose, made, len(made[0]))


async def _lines(url: str, whose: str) -> AsyncIterator[list[Any]]:
    timeout = aiohttp.ClientTimeout(total=None, connect=5, sock_read=_SILENCE_S)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(f"{url.rstrip('/')}/books") as answer:
            answer.raise_for_status()
            rest = b""
            async for chunk in answer.content.iter_chunked(_CHUNK_BYTES):
                *whole, rest = (rest + chunk).split(b"\n")
                if lines := [orjson.loads(line) for line in whole if line]:
                    yield lines
            if rest.strip():
                yield [orjson.loads(rest)]
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise BooksAway(
            f"the books of the {whose} at {url} cannot be read ({type(error).__name__})",
            hint="`salur status` shows what runs",
        ) from None
