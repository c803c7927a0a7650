"""A bank with SNAP BI's codes and a bulk call: POST /v1.0/bulk-transfer and …/status, JSON over HTTP."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import aiohttp
import orjson
import structlog

from services.payout.channels import NotSent, OutcomeUnknown
from services.payout.channels.bulk_answers import body_of, read_answers, shown
from services.payout.configuration import Bank
from services.payout.domain.answers import Answer
from services.payout.domain.orders import BankOrder
from services.payout.domain.references import bulk_reference

log = structlog.get_logger()

TRANSFER_PATH = "/v1.0/bulk-transfer"
STATUS_PATH = "/v1.0/bulk-transfer/status"


class BulkBank:
    """One bank. `close` at the end."""

    def __init__(self, name: str, bank: Bank, url: str, token: str) -> None:
        self._name = name
        self._bank = bank
        self._url = url.rstrip("/")
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            timeout=aiohttp.ClientTimeout(total=bank.call_timeout_s, sock_connect=min(3.0, bank.call_timeout_s)),
            connector=aiohttp.TCPConnector(limit=bank.calls_at_once + 2),
        )

    async def send(self, orders: Sequence[BankOrder], *, sends: int, stamped_at: datetime) -> list[Answer]:
        references = [order.reference for order in orders]
        body = {
            "partnerBulkId": bulk_reference(references, sends),
            "transfers": [
                {
                    "partnerReferenceNo": order.reference,
                    "amount": {"value": f"{order.amount_idr}.00", "currency": "IDR"},
                    "beneficiaryBankCode": order.account.bank,
                    "beneficiaryAccountNo": order.account.number,
                    "beneficiaryAccountName": order.account.holder,
                }
                for order in orders
            ],
        }
        return read_answers(self._bank, await self._post(TRANSFER_PATH, body, stamped_at), references, asked=False)

    async def ask(self, references: Sequence[str], *, stamped_at: datetime) -> list[Answer]:
        body = {"partnerReferenceNos": list(references)}
        return read_answers(self._bank, await self._post(STATUS_PATH, body, stamped_at), references, asked=True)

    async def close(self) -> None:
        await self._session.close()

    async def _post(self, path: str, body: dict[str, Any], stamped_at: datetime) -> list[Any]:
        """The results. Whatever is not a plain answer leaves the outcome open, a refusal of the whole call too.

        A redirection is such an answer and is not followed: accounts go to the bank's own address and to no other.
        """
        stamp = stamped_at.astimezone(UTC).isoformat(timespec="milliseconds")
        try:
            async with self._session.post(
                self._url + path, data=orjson.dumps(body), headers={"X-TIMESTAMP": stamp}, allow_redirects=False
            ) as response:
                raw = await response.read()
                status = response.status
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotSent(f"no connection to the bank {self._name}: {type(error).__name__}") from None
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise OutcomeUnknown(f"no answer from the bank {self._name}: {type(error).__name__}") from None
        answer = body_of(raw)
        results = answer.get("results")
        if status != 200 or not isinstance(results, list):
            code = shown(answer.get("responseCode"))
            log.warning("the bank did not take a call", bank=self._name, path=path, status=status, code=code)
            raise OutcomeUnknown(f"the bank {self._name} answered a call with HTTP status {status}")
        return results
