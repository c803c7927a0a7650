"""Reads what a bulk bank answers. It is a stranger's text: each item stands for itself, and one that is not in form is
no answer about its own order, whatever it claims, and none about the others."""

import json
from collections.abc import Iterable
from typing import Any, Final

import orjson
import structlog

from services.payout.configuration import Bank
from services.payout.domain.answers import Answer, Said

log = structlog.get_logger()

BANK_REFERENCE_LENGTH_MAX: Final = 64
"""Of a referenceNo, after SNAP BI."""
_CODE_LENGTH_MAX: Final = 7
_TIMED_OUT: Final = "5041800"


def body_of(raw: bytes) -> dict[str, Any]:
    """The JSON object of an answer; empty where it is none. Characters that cannot be spoil the text that they stand
    in and nothing beside it."""
    try:
        answer = orjson.loads(raw)
    except orjson.JSONDecodeError:
        try:
            answer = json.loads(raw.decode(errors="replace"))
        except (ValueError, RecursionError):
            return {}
    return answer if isinstance(answer, dict) else {}


def shown(code: Any) -> str:
    """A code of the bank as it may stand in a log."""
    return code[:_CODE_LENGTH_MAX] if _is_plain(code) else "not in form"


def read_answers(bank: Bank, results: list[Any], references: Iterable[str], *, asked: bool) -> list[Answer]:
    """One answer for each of `references`. The first item about a reference counts; of one that the bank does not
    speak of in form, nothing is known."""
    open_references = set(references)
    answers = []
    for item in results:
        reference = item.get("partnerReferenceNo") if isinstance(item, dict) else None
        if isinstance(reference, str) and reference in open_references:
            open_references.discard(reference)
            answers.append(_answer(bank, item, reference, asked=asked))
    return answers + [Answer(reference, Said.UNCLEAR) for reference in open_references]


def _answer(bank: Bank, item: dict[str, Any], reference: str, *, asked: bool) -> Answer:
    code, number = item.get("responseCode"), item.get("referenceNo")
    status = item.get("latestTransactionStatus") if asked else ""
    if not all(told is None or isinstance(told, str) for told in (code, number, status)) or not (
        not number or (_is_plain(number) and len(number) <= BANK_REFERENCE_LENGTH_MAX)
    ):
        log.warning("an answer of the bank about one order is not in form", reference=reference)
        return Answer(reference, Said.UNCLEAR)
    said, reason = _by_status(bank, status, code) if asked else _by_code(bank, code, reference)
    return Answer(reference, said, reason, number or None)


def _by_code(bank: Bank, code: str | None, reference: str) -> tuple[Said, str | None]:
    said, reason = bank.codes.meaning(code or "")
    if said == Said.UNCLEAR and code != _TIMED_OUT:
        log.warning("a code of the bank that its map does not know", code=shown(code), reference=reference)
    return said, reason


def _by_status(bank: Bank, status: str | None, code: str | None) -> tuple[Said, str | None]:
    """Of a failed transfer, the response code says why; one that is not in the map is a refusal all the same."""
    said = bank.statuses.get(status or "")
    if said == "failed":
        return Said.FAILED, bank.codes.failed.get(code or "", "refused_by_bank")
    return (Said(said) if said else Said.UNCLEAR), None


def _is_plain(text: Any) -> bool:
    return isinstance(text, str) and text.isascii() and text.isprintable()
