"""A Kafka client that hangs."""

import asyncio
from typing import Any


def never(hung: list[Any], method: Any) -> Any:
    """The method of the first client that calls it never comes back; that of all others does what it does."""

    async def hanging(one: Any, *arguments: Any, **named: Any) -> Any:
        if not hung:
            hung.append(one)
        if one is hung[0]:
            await asyncio.Event().wait()
        return await method(one, *arguments, **named)

    return hanging
