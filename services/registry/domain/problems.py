"""Everything that can be wrong with a submission: stable codes, and a sentence for people in both languages."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from shared.events import Problem, Text

CATALOGUE: Final[Mapping[str, Text]] = {
    "nik_format": Text(
        id="NIK harus 16 angka, memuat tanggal lahir yang ada di kalender, dan tidak berakhir dengan 0000.",
        en="The NIK must have 16 digits, contain a date of birth that exists, and not end in 0000.",
    ),
    "nik_region": Text(
        id="Enam angka pertama NIK bukan kode kecamatan yang dikenal.",
        en="The first six digits of the NIK are not the code of a known district.",
    ),
    "nik_birth_date_mismatch": Text(
        id="Tanggal lahir di dalam NIK berbeda dengan tanggal lahir yang diisi.",
        en="The date of birth in the NIK differs from the one stated.",
    ),
    "nik_sex_mismatch": Text(
        id="Jenis kelamin di dalam NIK berbeda dengan yang diisi.",
        en="The sex in the NIK differs from the one stated.",
    ),
    "kk_format": Text(
        id="Nomor Kartu Keluarga harus 16 angka, memuat tanggal terbitnya, dan tidak berakhir dengan 0000.",
        en="The family card number must have 16 digits, contain the day of its issue, and not end in 0000.",
    ),
    "kk_region": Text(
        id="Enam angka pertama nomor Kartu Keluarga bukan kode kecamatan yang dikenal.",
        en="The first six digits of the family card number are not the code of a known district.",
    ),
    "birth_date_implausible": Text(
        id="Tanggal lahir ini belum tiba, atau lebih dari 120 tahun yang lalu.",
        en="This date of birth has not come yet, or is more than 120 years ago.",
    ),
    "village_unknown": Text(
        id="Kode desa atau kelurahan tidak ada dalam daftar wilayah yang dilayani.",
        en="The village code is not in the list of the villages that are served.",
    ),
    "phone_format": Text(
        id="Nomor telepon bukan nomor yang sah; kosongkan bila tidak ada.",
        en="The phone number is not a valid number; leave it empty where there is none.",
    ),
    "account_format": Text(
        id="Rekening terdiri atas kode bank 3 angka, nomor rekening 8 sampai 20 angka, dan nama pemilik.",
        en="An account has a bank code of 3 digits, an account number of 8 to 20 digits and the holder's name.",
    ),
    "name_empty": Text(id="Nama belum diisi.", en="The name is empty."),
    "decile_range": Text(
        id="Desil harus bilangan bulat dari 1 sampai 10.", en="The decile must be a whole number from 1 to 10."
    ),
    "schema": Text(
        id="Isian ini tidak ada, tidak dikenal, atau bentuknya tidak sesuai ketentuan.",
        en="This field is missing, not known, or not in the form that is laid down.",
    ),
    "time_implausible": Text(
        id="Waktu ini tidak masuk akal: terlalu lama di masa lalu, atau lebih dari sehari di masa depan.",
        en="This time is not plausible: too long ago, or more than a day in the future.",
    ),
    "since_future": Text(
        id="Tanggal ini belum tiba. Kirim pada hari berlakunya atau sesudahnya, dengan nomor baru.",
        en="This day has not come yet. Send it on the day from which it holds or later, under a new id.",
    ),
    "cannot_open": Text(
        id="Kiriman tidak dapat dibuka. Segel ulang dengan kunci publik registri yang berlaku, untuk sumber dan nomor "
        "kiriman yang sama persis, dan kirim dengan nomor baru.",
        en="The submission does not open. Seal it again with the registry's current public key, for exactly this "
        "source and the id it is sent under, and send it under a new id.",
    ),
    "source_mismatch": Text(
        id="Sumber yang tertulis bukan pemilik jalur ini, atau tidak berwenang mengirim jenis data ini.",
        en="The source stated does not own this channel, or may not send this kind of submission.",
    ),
    "id_personal": Text(
        id="Nomor kiriman memuat nomor orangnya (NIK, No. KK, telepon atau rekening) dan dapat dibaca pihak lain. "
        "Kirim dengan nomor yang tidak menunjuk orang, misalnya nomor urut.",
        en="The submission's id holds a number of the person (NIK, family card, phone or account), and others can read "
        "it. Send it under an id that points to nobody, such as a running number.",
    ),
    "id_reused": Text(
        id="Nomor kiriman ini sudah dipakai untuk isi yang lain. Kirim dengan nomor baru.",
        en="This submission id was used for another content before. Send it under a new id.",
    ),
}


@lru_cache(maxsize=4096)
def problem(field: str, code: str) -> Problem:
    """The problem of this field, with both sentences. The same ones come again and again: they are made once."""
    return Problem(field=field, code=code, text=CATALOGUE[code])
