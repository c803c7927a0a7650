"""The words of a message around its facts, in Bahasa Indonesia and English.

Indonesian is written as people of the villages speak to a clerk: `Anda`, short sentences, no abbreviation that is not
on their card.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from shared.words import Language, month_name, period_in


class Phrases(NamedTuple):
    """Sentences of one language; `{}` places are filled by `messages`."""

    yes: str
    yes_now: str
    yes_changed: str
    no: str
    no_longer: str
    next_yes: str
    next_no: str
    next_both: str
    more: str
    month: str
    stage: str
    own_account: str
    somebody: str


PHRASES: Final[Mapping[Language, Phrases]] = {
    "id": Phrases(
        yes="{programme}: YA, {amount}{per}. {reason}",
        yes_now="{programme}: sekarang YA, {amount}{per}. {reason}",
        yes_changed="{programme}: YA, sekarang {amount}{per} (sebelumnya {before}). {reason}",
        no="{programme}: TIDAK. {reason}",
        no_longer="{programme}: TIDAK lagi. {reason}",
        next_yes="Uang dikirim langsung ke rekening Anda saat giliran penyaluran tiba, dan kami kabari begitu masuk."
        " Tidak perlu antre.",
        next_no="Bila menurut Anda ada data yang keliru, Anda berhak mengajukan sanggah: bawa KTP dan Kartu Keluarga"
        " ke kantor desa atau Puskesos.",
        next_both="Uang dikirim langsung ke rekening Anda saat giliran penyaluran tiba, dan kami kabari begitu masuk."
        " Bila ada data yang keliru, Anda berhak mengajukan sanggah: bawa KTP dan Kartu Keluarga ke kantor desa atau"
        " Puskesos.",
        more="Dan {count} program lain: tanyakan di kantor desa atau Puskesos.",
        month="{programme} bulan {month} {year}",
        stage="{programme} tahap {stage} tahun {year}",
        own_account="rekening bank Anda",
        somebody="Bapak/Ibu",
    ),
    "en": Phrases(
        yes="{programme}: YES, {amount}{per}. {reason}",
        yes_now="{programme}: now YES, {amount}{per}. {reason}",
        yes_changed="{programme}: YES, now {amount}{per} (before: {before}). {reason}",
        no="{programme}: NO. {reason}",
        no_longer="{programme}: no longer, NO. {reason}",
        next_yes="The money goes straight to your account when your turn of payment comes, and we tell you once it is"
        " there. No need to queue.",
        next_no="If you think that some data is wrong, you have the right to object: bring your ID card and family"
        " card to the village office or Puskesos.",
        next_both="The money goes straight to your account when your turn of payment comes, and we tell you once it"
        " is there. If some data is wrong, you have the right to object: bring your ID card and family card to the"
        " village office or Puskesos.",
        more="And {count} more programmes: ask at the village office or Puskesos.",
        month="{programme} for {month} {year}",
        stage="{programme}, stage {stage} of {year}",
        own_account="your bank account",
        somebody="Sir/Madam",
    ),
}

_NEW_ACCOUNT: Final[Mapping[Language, str]] = {
    "id": "Bawa KTP dan buku tabungan atas nama Anda ke kantor desa atau Puskesos untuk memperbarui nomor rekening."
    " Setelah itu data Anda kami proses lagi.",
    "en": "Bring your ID card and a bank book in your name to the village office or Puskesos to update your account"
    " number. After that we process your data again.",
}
_REVIVE: Final[Mapping[Language, str]] = {
    "id": "Datanglah ke bank dengan KTP untuk mengaktifkan lagi rekening Anda, atau daftarkan rekening lain di kantor"
    " desa atau Puskesos.",
    "en": "Go to your bank with your ID card to have the account activated again, or register another account at the"
    " village office or Puskesos.",
}
_ASK: Final[Mapping[Language, str]] = {
    "id": "Silakan hubungi kantor desa atau Puskesos dengan membawa KTP dan buku tabungan; petugas akan membantu.",
    "en": "Please go to the village office or Puskesos with your ID card and bank book; the staff will help you.",
}
_NEXT_PERIOD: Final[Mapping[Language, str]] = {
    "id": "Anda tidak perlu melakukan apa-apa. Pertanyaan dapat disampaikan ke kantor desa atau Puskesos.",
    "en": "You need not do anything. The village office or Puskesos answers questions.",
}
_WHAT_TO_DO: Final[Mapping[str, Mapping[Language, str]]] = {
    "account_closed": _NEW_ACCOUNT,
    "account_unknown": _NEW_ACCOUNT,
    "account_invalid": _NEW_ACCOUNT,
    "account_unreadable": _NEW_ACCOUNT,
    "account_erased": _NEW_ACCOUNT,
    "no_account": _NEW_ACCOUNT,
    "account_dormant": _REVIVE,
    "nothing_to_pay": _NEXT_PERIOD,
    "family_paid": _NEXT_PERIOD,
}
"""By the codes of payout's reasons; any other: ask."""


def what_to_do(code: str, language: Language) -> str:
    """What a recipient can do about a payout that failed with this code."""
    return _WHAT_TO_DO.get(code, _ASK)[language]


def programme_and_period(programme: str, cycle: str, language: Language) -> str:
    """The programme's name with the month or stage that the cycle's name holds, or alone where it holds none."""
    held = period_in(cycle)
    if held is None:
        return programme
    year, month, stage = held
    phrases = PHRASES[language]
    if month:
        return phrases.month.format(programme=programme, month=month_name(month, language), year=year)
    return phrases.stage.format(programme=programme, stage=stage, year=year)
