"""Names as people of Polman bear them (Mandar, Bugis, Javanese), and how their spelling drifts."""

from collections.abc import Callable, Sequence
from typing import Final

from salur.population.draw import Draw


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_MEN: Final = _words("""
Abidin Adnan Ahmad Alimuddin Amiruddin Amran Ansar Arifin Asdar Aswad Baharuddin Basri Burhanuddin Darwis Fadli Fahmi
Firman Hamka Hamzah Haruna Hasanuddin Hasbi Herman Ibrahim Idham Idris Ilham Irfan Irwan Ismail Iskandar Jabbar
Jafaruddin Jalil Jamaluddin Junaedi Kaharuddin Kamaruddin Lukman Mahmud Mansyur Marzuki Masdar Muhajir Mukhtar Mustafa
Mustari Muzakkir Najamuddin Nasruddin Nurdin Rahmat Rahman Ramli Rasyid Ridwan Ruslan Rusli Sabaruddin Saharuddin
Sahabuddin Salahuddin Samsuddin Saparuddin Sudirman Suaib Sukri Sulaiman Sultan Supardi Syahril Syamsul Syarifuddin
Tahir Tajuddin Takdir Thamrin Usman Wahyuddin Yunus Yusran Yusuf Zainuddin Zulkifli
""")
_WOMEN: Final = _words("""
Aminah Aisyah Asmawati Asriani Darmawati Fatimah Fitriani Habibah Hadijah Halimah Hamidah Hamsiah Hariyanti Hartati
Hasmawati Hasnah Hasniati Hasriani Hawiah Herlina Husniah Indrawati Irmawati Jamilah Jumriani Jumiati Juhriah Kartini
Kasmawati Khadijah Kurniati Lisnawati Maemunah Mardiana Maryam Marwah Mariati Masita Megawati Murniati Mulyani Munirah
Naharia Nadirah Nurbaya Nurdiana Nurhayati Nurjannah Nurlaela Nurlina Nurmiati Nursia Nursyamsi Rabiah Radiah
Rahmawati Rahmatia Ramlah Raodah Rosdiana Rosmini Rosnawati Rukiah Rusmiati Sahariah Salmiah Samsiah Sanawiah Sapiah
Saripa Subaedah Suhaeni Sulastri Sumarni Suriani Suryani Syamsiah Syamsinar Wahidah Wahyuni Yuliana Yusriani Zaenab
Zubaedah
""")
_MANDAR_MEN: Final = ("Kaco", "Kacoq", "Puang", "Daeng", "Andi", "Baco", "Ba'du")
_MANDAR_WOMEN: Final = ("Cicci", "Becce", "Andi", "Daeng", "Indo", "Puang", "Bulaeng", "Sitti")
_JAVANESE_MEN: Final = _words("""
Agustinus Bambang Budiono Darmanto Djumadi Hariyanto Jumadi Kasiman Katimin Mulyono Ngadimin Paijan Paimin Poniman
Sarjono Slamet Soleh Sugeng Sugiyanto Suharto Sujarwo Sukardi Sukarno Sumardi Suparman Supriyadi Suroso Sutrisno
Suyanto Suyono Tukiman Wagimin Waluyo Widodo Yatiman
""")
_JAVANESE_WOMEN: Final = _words("""
Endang Hartini Jumiyem Kasiyem Lasmini Mujiati Ngatinah Paini Parinem Poniyem Rubiyati Sarinah Sriatun Sulasmi
Sumiyati Sunarti Suparmi Supriyatin Suratmi Suwarni Suyatmi Tuminah Wagiyem Warsini Winarti Yatinem
""")
_ABDUL: Final = _words("""
Azis Gani Hakim Halim Hamid Jabbar Jalil Kadir Karim Latif Majid Malik Muin Muttalib Rahim Rahman Rasyid Razak Salam
Samad Wahab Wahid
""")
_DUSUN: Final = _words("""
Lambe Kappung-Kappung Labuang Manjopai Sumael Pasarang Tanete Buttu Lampoko-Timur Salu Passairang Pelattoang Tande
Lembang-Baru Galung-Barat Tamassapi Uluang Pulo-Tengah Ratte-Bawah Sarampu
""")


def _two(draw: Draw, first: Sequence[str], second: Sequence[str]) -> str:
    """Two different words."""
    one = other = draw.pick(first)
    while other == one:
        other = draw.pick(second)
    return f"{one} {other}"


_MAN_FORMS: Final[tuple[Callable[[Draw], str], ...]] = (
    lambda d: d.pick(_MEN),
    lambda d: _two(d, _MEN, _MEN),
    lambda d: _two(d, _MEN, _MEN),
    lambda d: f"Muhammad {d.pick(_MEN)}",
    lambda d: f"Muh. {d.pick(_MEN)}",
    lambda d: f"Moh. {d.pick(_MEN)}",
    lambda d: f"Muh. {_two(d, _MEN, _MEN)}",
    lambda d: f"Abdul {d.pick(_ABDUL)}",
    lambda d: f"Abd. {d.pick(_ABDUL)}",
    lambda d: _two(d, _MANDAR_MEN, _MEN),
    lambda d: f"{d.pick(_MANDAR_MEN)} {_two(d, _MEN, _ABDUL)}",
    lambda d: f"H. {_two(d, _MEN, _ABDUL)}",
)
_WOMAN_FORMS: Final[tuple[Callable[[Draw], str], ...]] = (
    lambda d: d.pick(_WOMEN),
    lambda d: _two(d, _WOMEN, _MEN),
    lambda d: _two(d, _WOMEN, _WOMEN),
    lambda d: _two(d, _WOMEN, _WOMEN),
    lambda d: f"Sitti {d.pick(_WOMEN)}",
    lambda d: f"Siti {d.pick(_WOMEN)}",
    lambda d: f"St. {_two(d, _WOMEN, _MEN)}",
    lambda d: f"St. {d.pick(_WOMEN)}",
    lambda d: _two(d, _MANDAR_WOMEN, _WOMEN),
    lambda d: f"{d.pick(_MANDAR_WOMEN)} {_two(d, _WOMEN, _MEN)}",
    lambda d: f"Hj. {_two(d, _WOMEN, _ABDUL)}",
)

_SAME_WORDS: Final = (
    ("Muhammad", "Mohamad", "Mohammad", "Muh.", "Moh."),
    ("Abdul", "Abd."),
    ("Sitti", "Siti", "St."),
)
_SAME_LETTERS: Final = (("oe", "u"), ("u", "oe"), ("dj", "j"), ("j", "dj"), ("c", "tj"), ("y", "j"))


def person_name(draw: Draw, sex: str, *, javanese: bool) -> str:
    """A full name for a man ("L") or a woman ("P")."""
    if javanese:
        names = _JAVANESE_MEN if sex == "L" else _JAVANESE_WOMEN
        return draw.pick(names) if draw.chance(0.3) else _two(draw, names, names)
    return draw.pick(_MAN_FORMS if sex == "L" else _WOMAN_FORMS)(draw)


def address(draw: Draw) -> str:
    return f"Dusun {draw.pick(_DUSUN)} RT {draw.between(1, 9):03d}/RW {draw.between(1, 4):03d}"


def drifted(draw: Draw, name: str, sex: str) -> str:
    """The same name in another spelling, never the same text.

    The ways are those of domain.md: Muh./Moh./Muhammad, Abd./Abdul, St./Siti, titles, oe/u, dj/j, tj/c, j/y.
    """
    words = name.split()
    title = "H." if sex == "L" else "Hj."
    ways = [" ".join(words[1:]) if words[0] == title else f"{title} {name}"]
    for group in _SAME_WORDS:
        if words[0] in group:
            ways += [" ".join([other, *words[1:]]) for other in group if other != words[0]]
    for old, new in _SAME_LETTERS:
        other = " ".join(word if word.endswith(".") else _swapped(word, old, new) for word in words)
        if other != name:
            ways.append(other)
    return draw.pick(ways)


def _swapped(word: str, old: str, new: str) -> str:
    return word.replace(old, new).replace(old.capitalize(), new.capitalize())
