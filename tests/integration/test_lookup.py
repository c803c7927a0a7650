"""The look-up process: an id for every NIK, for whoever shows the token, so many and no more."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from services.lookup.api import router
from services.portal.lookup import Lookup
from shared.allowance import Allowance
from shared.errors import Trouble
from shared.privacy import Keyring, keyfile
from shared.runtime.http import create_app
from tests.fuzz.serving import served

TOKEN = "the portal's own token"
NIK = "7604015708850001"


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    keyfile.create(tmp_path / "keys.json")
    return Keyring.load(tmp_path / "keys.json", only=("identity",))


@pytest.fixture
async def url(keyring: Keyring) -> AsyncIterator[str]:
    async with served(create_app("lookup", list, (router(keyring, TOKEN, Allowance(0.001, 4)),))) as address:
        yield address


async def post(url: str, body: bytes, token: str = TOKEN) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/recipient-id", data=body, headers=headers) as answer,
    ):
        return answer.status, await answer.json()


async def test_it_answers_the_portal_and_nobody_else(url: str, keyring: Keyring) -> None:
    lookup = Lookup(url, TOKEN)
    assert await lookup.recipient_id(NIK) == keyring.recipient_id(NIK)
    await lookup.close()
    status, told = await post(url, b'{"nik": "%b"}' % NIK.encode(), token="another")
    assert status == 401
    assert NIK not in str(told)
    assert (await post(url, b'{"nik": "not a NIK"}'))[1] == {"recipient_id": None}
    assert (await post(url, b"\xff" * 50))[1] == {"recipient_id": None}
    assert (await post(url, b"[" * 5000))[1] == {"recipient_id": None}
    assert (await post(url, b'{"nik": "%b"}' % NIK.encode()))[0] == 429, "four at once, and then as the rate allows"


async def test_a_portal_that_gets_no_answer_says_so_and_no_nik(url: str) -> None:
    for address, token in ((url, "another token of some length"), ("http://127.0.0.1:9", TOKEN)):
        lookup = Lookup(address, token, timeout_s=2)
        with pytest.raises(Trouble) as trouble:
            await lookup.recipient_id(NIK)
        assert NIK not in str(trouble.value)
        await lookup.close()
