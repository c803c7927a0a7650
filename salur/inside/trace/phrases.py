"""What each event says, in a sentence, in Indonesian and in English."""

from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias

from salur.inside.trace.story import Step
from shared.events.topics import FLOW_TOPICS
from shared.words import place

Language = Literal["id", "en"]
Data: TypeAlias = dict[str, Any]
_Phrase: TypeAlias = Callable[[Data, Language], str]

_WORDS: Final[dict[str, dict[Language, str]]] = {
    "new": {"id": "baru", "en": "new"},
    "updated": {"id": "diperbarui", "en": "updated"},
    "identical": {"id": "isinya sama", "en": "it says the same"},
    "older": {"id": "lebih lama dari yang diketahui", "en": "older than what is known"},
    "eligible": {"id": "layak", "en": "eligible"},
    "ineligible": {"id": "tidak layak", "en": "not eligible"},
}


def rupiah(amount: int, language: Language) -> str:
    text = f"{amount:,}"
    return "Rp" + (text.replace(",", ".") if language == "id" else text)


def phrase(step: Step, language: Language) -> str:
    """One sentence about the step; its type and nothing else where its data is not as expected."""
    if step.topic.startswith("replay."):
        service = step.topic.removeprefix("replay.")
        return {"id": f"dikembalikan ke {service}", "en": f"put back to {service}"}[language] + f" ({step.type})"
    make = _PHRASES.get(step.type)
    if make is None:
        return step.type
    try:
        return make(step.data, language)
    except (LookupError, TypeError, ValueError, AttributeError):
        return step.type


def stage_of(step: Step) -> str:
    """Who wrote it."""
    return FLOW_TOPICS[step.topic].owner or "operator"


def _said(texts: list[Data], language: Language) -> str:
    return " ".join(text["text"][language] for text in texts)


def _registered(data: Data, language: Language) -> str:
    change = _WORDS[data["change"]][language]
    return {
        "id": f"terdaftar ({change}), revisi {data['revision']}: desa {data['village']}, desil {data['decile']}",
        "en": f"registered ({change}), revision {data['revision']}: village {data['village']}, decile {data['decile']}",
    }[language]


def _unchanged(data: Data, language: Language) -> str:
    why = _WORDS[data["reason"]][language]
    return {"id": f"pengajuan tidak mengubah apa pun: {why}", "en": f"the submission changes nothing: {why}"}[language]


def _rejected(data: Data, language: Language) -> str:
    begin = {"id": "pengajuan ditolak: ", "en": "submission rejected: "}[language]
    return begin + _said(data["problems"], language)


def _flagged(data: Data, language: Language) -> str:
    return {
        "id": f"tanda dari instansi lain tercatat, revisi {data['revision']}",
        "en": f"other agencies' flags noted, revision {data['revision']}",
    }[language]


def _resealed(data: Data, language: Language) -> str:
    return {
        "id": f"data pendaftaran revisi {data['revision']} disegel ulang dengan kunci baru",
        "en": f"what is known is sealed anew with newer keys, registration revision {data['revision']}",
    }[language]


def _decided(data: Data, language: Language) -> str:
    outcome = _WORDS[data["outcome"]][language]
    amount = f", {rupiah(data['amount_idr'], language)}" if data["amount_idr"] else ""
    return f"{data['programme']}: {outcome}{amount}. {_said(data['reasons'], language)}"


def _payout(data: Data, language: Language, what: dict[Language, str]) -> str:
    attempt = data.get("attempt", 1)
    tail = {"id": f" (percobaan {attempt})", "en": f" (attempt {attempt})"}[language] if attempt > 1 else ""
    reference = f", {data['reference']}" if "reference" in data else ""
    return f"{data['cycle']}: {rupiah(data['amount_idr'], language)} {what[language]}{tail}{reference}"


def _queued(data: Data, language: Language) -> str:
    told = place(data["place"], language)
    return _payout(data, language, {"id": f"menunggu anggaran, urutan {told}", "en": f"waits for budget, place {told}"})


def _ordered(data: Data, language: Language) -> str:
    return _payout(data, language, {"id": "dipesan untuk dibayarkan", "en": "ordered to be paid"})


def _confirmed(data: Data, language: Language) -> str:
    return _payout(data, language, {"id": "sudah masuk rekening", "en": "is in the account"})


def _ended(data: Data, language: Language) -> str:
    return _payout(data, language, {"id": "tidak tersalur", "en": "not paid"}) + f": {data['text'][language]}"


def _message(what: dict[Language, str]) -> _Phrase:
    def make(data: Data, language: Language) -> str:
        code = f" ({data['code']})" if "code" in data else ""
        return f"{data['channel']} {data['template']}: {what[language]}{code}"

    return make


def _dead(data: Data, language: Language) -> str:
    begin = {"id": "tidak dapat diproses", "en": "could not be processed"}[language]
    origin = data["origin"]
    return f"{begin} ({origin['topic']}/{origin['partition']}/{origin['offset']}): {data['code']}, {data['reason']}"


def _code(data: Data, language: Language) -> str:
    return {"id": "kode untuk membuka Bantuan Saya dibuat", "en": "a code to open My aid was issued"}[language]


_PHRASES: Final[dict[str, _Phrase]] = {
    "code.issued": _code,
    "recipient.registered": _registered,
    "registration.unchanged": _unchanged,
    "registration.rejected": _rejected,
    "recipient.flagged": _flagged,
    "flag.rejected": _rejected,
    "recipient.resealed": _resealed,
    "eligibility.decided": _decided,
    "payout.queued": _queued,
    "payout.ordered": _ordered,
    "payout.cancelled": _ended,
    "payout.confirmed": _confirmed,
    "payout.failed": _ended,
    "notification.sent": _message({"id": "pesan terkirim", "en": "message sent"}),
    "notification.delivered": _message({"id": "pesan sampai di telepon", "en": "message on the phone"}),
    "notification.failed": _message({"id": "pesan gagal", "en": "message failed"}),
    "notification.unknown": _message({"id": "nasib pesan tidak diketahui", "en": "nobody knows what became of it"}),
    "dead-letter": _dead,
}
