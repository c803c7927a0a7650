"""What codes are called by people: in English and, on the page, in Indonesian above it."""

from typing import Final

WORDS: Final = {
    "paid_twice_in_a_cycle": "Nobody was paid twice in a cycle",
    "ledger_balanced": "The ledger balances",
    "ledger_equals_bank": "The ledger equals the bank's books",
    "budget_kept": "No budget was exceeded",
    "told_twice_on_a_channel": "Nobody was told twice on a channel",
    "every_submission_answered_once": "Every submission was answered once",
    "nothing_lost": "Nothing was lost on the way",
    "sequences_gapless": "No event is missing",
    "digests_right": "No event was changed",
    "rows_agree_with_events": "Tables say what events said",
}
"""Invariants as sentences that are true when they hold."""

INDONESIAN: Final = {
    "paid_twice_in_a_cycle": "Tidak ada yang dibayar dua kali dalam satu tahap",
    "ledger_balanced": "Buku besar seimbang",
    "ledger_equals_bank": "Buku besar sama dengan buku bank",
    "budget_kept": "Anggaran tidak terlampaui",
    "told_twice_on_a_channel": "Tidak ada yang diberi tahu dua kali",
    "every_submission_answered_once": "Setiap usulan dijawab satu kali",
    "nothing_lost": "Tidak ada yang hilang di jalan",
    "sequences_gapless": "Tidak ada peristiwa yang hilang",
    "digests_right": "Tidak ada peristiwa yang diubah",
    "rows_agree_with_events": "Isi basis data sesuai dengan peristiwa",
    "invalid_nik": "NIK tidak valid",
    "invalid_kk": "No. KK tidak valid",
    "name_empty": "Nama kosong",
    "duplicate_identical": "Ganda, isi sama",
    "duplicate_changed": "Ganda, data diperbarui",
    "duplicate_stale": "Ganda, data lama",
    "spelling_variant": "Orang sama, ejaan lain",
    "deceased": "Meninggal dunia",
    "civil_servant": "ASN",
    "certified_teacher": "Guru bersertifikat",
    "company_owner": "Pemilik badan usaha",
    "income_above_minimum_wage": "Upah di atas UMP/UMK",
    "village_official": "Perangkat desa",
    "electricity_900va": "Listrik 900 VA ke atas",
    "car_owner": "Pemilik mobil",
    "flag_withdrawn": "Tanda yang dicabut",
    "village_unknown": "Desa tidak dikenal",
    "phone_malformed": "Nomor telepon salah",
    "account_malformed": "Nomor rekening salah",
    "decile_above_limit": "desil di atas batas",
    "no_component": "tanpa komponen",
    "excluded_by_other_agency": "data instansi lain",
    "not_the_payee": "dibayar lewat keluarga",
    "outside_region": "di luar wilayah",
    "condition_not_met": "syarat belum terpenuhi",
    "programme_closed": "program ditutup",
    "facts_erased": "data dihapus",
    "no_account": "belum ada rekening",
    "family_paid": "keluarga sudah dibayar",
    "account_unknown": "rekening tidak ditemukan",
    "account_dormant": "rekening tidak aktif",
    "account_closed": "rekening ditutup",
    "account_invalid": "data rekening salah",
    "refused_by_bank": "ditolak bank",
    "not_on_whatsapp": "tidak di WhatsApp",
    "registered new": "terdaftar",
    "registered updated": "diperbarui",
    "unchanged identical": "tetap, isi sama",
    "unchanged older": "tetap, data lama",
    "rejected": "ditolak",
    "flagged": "dicatat",
    "nik_format": "bentuk NIK",
    "nik_region": "wilayah NIK",
    "nik_birth_date_mismatch": "NIK dan tanggal lahir",
    "nik_sex_mismatch": "NIK dan jenis kelamin",
    "kk_format": "bentuk No. KK",
    "kk_region": "wilayah No. KK",
    "phone_format": "bentuk nomor telepon",
    "account_format": "bentuk nomor rekening",
    "id_personal": "nomor kiriman memuat nomor orang",
    "since_future": "tanggal belum tiba",
    "excluded_without_flag": "Ditolak tanpa tanda",
    "other_rejection": "Ditolak karena sebab lain",
}

_ENGLISH: Final = {
    "invalid_nik": "invalid NIK",
    "invalid_kk": "invalid family card number",
    "name_empty": "empty name",
    "duplicate_identical": "same NIK twice, same content",
    "duplicate_changed": "same NIK twice, newer content",
    "duplicate_stale": "same NIK twice, older content",
    "spelling_variant": "same person, another spelling",
    "certified_teacher": "certified teacher",
    "electricity_900va": "electricity of 900 VA or more",
    "flag_withdrawn": "flag that was withdrawn",
    "village_unknown": "unknown village",
    "phone_malformed": "phone number in no form",
    "account_malformed": "account number in no form",
    "excluded_without_flag": "excluded, without a flag",
    "other_rejection": "rejected for something else",
}


def words(code: str) -> str:
    """A code in plain English."""
    return _ENGLISH.get(code) or code.replace("_", " ")


def indonesian(code: str) -> str:
    """A code in Indonesian, where it has a name there; else empty."""
    return INDONESIAN.get(code, "")
