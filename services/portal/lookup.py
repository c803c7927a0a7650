"""Asks the look-up process for a recipient's id: this process has no key to make one itself."""

from typing import Any

import aiohttp

from shared.errors import Trouble


class Lookup:
    """`url` and `token` of `services.lookup`. Close it at the end."""

    def __init__(self, url: str, token: str, *, timeout_s: float = 5.0) -> None:
        self._url = f"{url.rstrip('/')}/recipient-id"
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            headers={"Authorization": f"Bearer {token}"},
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )

    async def recipient_id(self, nik: str) -> str | None:
        """Of the 16 digits of a NIK, whether somebody is registered with it or not; None for anything else. Raises
        Trouble, which repeats nothing of it."""
        try:
            async with self._session.post(self._url, json={"nik": nik}, allow_redirects=False) as response:
                if response.status != 200:
                    raise Trouble(f"the look-up process answers {response.status}", hint="see its log and its token")
                held: dict[str, Any] = await response.json()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Trouble(f"the look-up process is away: {type(error).__name__}") from None
        found = held.get("recipient_id")
        return found if isinstance(found, str) else None

    async def close(self) -> None:
        await self._session.close()
