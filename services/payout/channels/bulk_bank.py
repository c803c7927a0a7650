"""A bank with SNAP BI's codes and a bulk call: POST /v1.0/bulk-transfer and …/status, JSON over HTTP."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import aiohttp
import orjson
import structlog

from services.payout.channels import NotSent, OutcomeUnknown
from services.payout.configuration import Bank
from services.payout.domain.answers import Answer, Said
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
        return self._answers(await self._post(TRANSFER_PATH, body, stamped_at), set(references), asked=False)

    async def ask(self, references: Sequence[str], *, stamped_at: datetime) -> list[Answer]:
        body = {"partnerReferenceNos": list(references)}
        return self._answers(await self._post(STATUS_PATH, body, stamped_at), set(references), asked=True)

    async def close(self) -> None:
        await self._session.close()

    async def _post(self, path: str, body: dict[str, Any], stamped_at: datetime) -> list[Any]:
        """The results. Whatever is not a plain answer leaves the outcome open, a refusal of the whole call too."""
        stamp = stamped_at.astimezone(UTC).isoformat(timespec="milliseconds")
        try:
            async with self._session.post(
                self._url + path, data=orjson.dumps(body), headers={"X-TIMESTAMP": stamp}
            ) as response:
                raw = await response.read()
                status = response.status
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotSent(f"no connection to the bank {self._name}: {type(error).__name__}") from None
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise OutcomeUnknown(f"no answer from the bank {self._name}: {type(error).__name__}") from None
        answer = _object(raw)
        results = answer.get("results")
        if status != 200 or not isinstance(results, list):
            code = str(answer.get("responseCode"))[:7]
            log.warning("the bank did not take a call", bank=self._name, path=path, status=status, code=code)
            raise OutcomeUnknown(f"the bank {self._name} answered a call with HTTP status {status}")
        return results

    def _answers(self, results: list[Any], references: set[str], *, asked: bool) -> list[Answer]:
        """Only what is in form and about our references counts; whatever else the bank says is as good as no answer."""
        answers = []
        for result in results:
            reference = result.get("partnerReferenceNo") if isinstance(result, dict) else None
            if reference not in references:
                continue
            references.discard(reference)
            said, code = self._status(result) if asked else self._code(result)
            number = result.get("referenceNo")
            answers.append(Answer(reference, said, code, str(number)[:64] if number else None))
        answers += [Answer(reference, Said.UNCLEAR) for reference in references]
        return answers

    def _code(self, result: dict[str, Any]) -> tuple[Said, str | None]:
        stated = str(result.get("responseCode"))
        said, code = self._bank.codes.meaning(stated)
        if said == Said.UNCLEAR and stated != "5041800":
            log.warning("a code of the bank that its map does not know", bank=self._name, code=stated[:7])
        return said, code

    def _status(self, result: dict[str, Any]) -> tuple[Said, str | None]:
        """Of a failed transfer, the response code says why; one that is not in the map is a refusal all the same."""
        said = self._bank.statuses.get(str(result.get("latestTransactionStatus")))
        if said == "failed":
            return Said.FAILED, self._bank.codes.failed.get(str(result.get("responseCode")), "refused_by_bank")
        return (Said(said) if said else Said.UNCLEAR), None


def _object(raw: bytes) -> dict[str, Any]:
    try:
        answer = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {}
    return answer if isinstance(answer, dict) else {}
