"""What personal data looks like in text, and what only looks like it. Used by `scrub` alone.

The order of the alternatives matters: shapes that are kept stand before the runs of digits they contain.
"""

import re
from functools import lru_cache
from typing import Final

# Hyphens, dots, brackets and blanks that people put between digits.
_BETWEEN: Final = "[ \u00a0\u2009\u202f().\u2010-\u2015-]{0,2}"
_ALONE: Final = r"(?<![0-9A-Za-z_])"
_END: Final = r"(?![0-9A-Za-z_])"
_OCTET: Final = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"

# Kept: a UUID, a trace context, our own ids, a hash (unless 16 digits in a row stand in it), an ISO date or time,
# an IPv4 address with its port, an amount written with Rp and dots.
_KEEP: Final = rf"""
    {_ALONE}(?:
        [0-9a-fA-F]{{8}}-[0-9a-fA-F]{{4}}-[0-9a-fA-F]{{4}}-[0-9a-fA-F]{{4}}-[0-9a-fA-F]{{12}}
      | [0-9a-f]{{2}}-[0-9a-f]{{32}}-[0-9a-f]{{16}}-[0-9a-f]{{2}}
      | [rf]-[0-9a-f]{{32}}
      | (?=[0-9]*[a-f])(?![0-9a-f]*[0-9]{{16}})(?:[0-9a-f]{{64}}|[0-9a-f]{{40}}|[0-9a-f]{{32}})
    ){_END}
  | (?<![\d.-])(?:19|20)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])
        (?:[T ][0-2]\d:[0-5]\d(?::[0-6]\d(?:[.,]\d{{1,9}})?)?(?:Z|[+-][01]\d(?::?[0-5]\d)?)?)?(?![\d]|[.-]\d)
  | (?<![\w.-])(?:{_OCTET}\.){{3}}{_OCTET}:\d{{2,5}}(?![\w.-])
  | \bRp\.?[ ]?[1-9]\d{{0,2}}(?:\.\d{{3}}){{1,4}}(?!\d|[ .,-]\d)
"""

CANDIDATES: Final = re.compile(
    rf"""
    (?P<keep>{_KEEP})
  | (?P<sealed>(?<![0-9A-Za-z_-])(?:eli|pay|con|par|rec|acc)-[a-z]{{8}}\.[0-9A-Za-z_-]{{20,}})
  | (?P<digits>\+?\(?\d(?:{_BETWEEN}\d){{7,}})
    """,
    re.VERBOSE,
)
HAS_DIGITS: Final = re.compile(rf"\d(?:{_BETWEEN}\d){{7}}|\.[0-9A-Za-z_-]{{20}}").search

_PHONE: Final = re.compile(r"(?:62|0062|0)[1-9]\d{6,12}").fullmatch

# Names of fields whose value is about a person, also as part of a longer name (`old_nik`, `beneficiaryAccountNo`).
_WHOLE_NAMES: Final = frozenset(
    {"nik", "kk", "no_kk", "name", "nama", "full_name", "nama_lengkap", "recipient_name", "holder_name", "holder"}
    | {"beneficiary_name", "mother_name", "phone", "phone_number", "mobile", "msisdn", "telepon", "wa_id", "email"}
    | {"address", "alamat", "birth_date", "birthdate", "date_of_birth", "tanggal_lahir", "tgl_lahir", "tempat_lahir"}
    | {"ibu_kandung", "income", "income_idr"}
    | {"disability", "severe_disability", "pregnant", "members", "input", "input_value", "plaintext", "locals"}
    | {"password", "secret", "token", "authorization", "api_key"}
)
_ENDINGS: Final = (
    "_nik",
    "_kk",
    "_name",
    "_nama",
    "_phone",
    "_holder",
    "_password",
    "_secret",
    "_token",
    "_birth_date",
)
_BEGINNINGS: Final = ("nama_", "name_", "account", "beneficiary_account", "no_rekening", "rekening")
_NOT_PRIVATE: Final = frozenset({"name_empty"})
"""A code of the registry's, not a name."""
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

# Such a name before = or : in free text, with its value: in quotes, or bare up to what ends it. What begins like a
# list or an object goes up to the end of the line. What pydantic says about a field stays.
NAMED: Final = re.compile(
    r"""
    (?P<name>(?<![A-Za-z0-9_-])[_-]*
        (?:nam[ae][_-](?!empty\b)[a-z0-9_-]*+|(?-i:nam[ae][A-Z])[a-z0-9_-]*+|(?:[A-Za-z0-9]+[_-]+)*
        (?:nik|kk|name|nama|holder|phone|mobile|msisdn|telepon|wa_id|address|alamat|email|birth_?date|date_of_birth
          |(?:tgl|tanggal|tempat)[_-]?lahir|ibu[_-]?kandung|income(?:_idr)?|pregnant|disability|members|input(?:_value)?|password|secret|token
          |authorization|(?:beneficiary_?)?account[A-Za-z_]*|phone_number|(?:no_)?rekening
          |(?-i:[A-Za-z0-9]*?[a-z0-9](?:Nik|Kk|Name|Nama|Holder|Phone|Address|Alamat|BirthDate|Lahir|Kandung))))
        ["']?\s*(?:=|:(?![/:]|\d{1,5}\b))\s*)(?!Field\ required|Input\ should|String\ should|Value\ error|Extra\ inputs)
    (?P<value>\[private\]|"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?|[b]?[\[{(][^\n]*|[^\s,;)\]}"'\[{(][^,;)\]}\n]*)
    """,
    re.VERBOSE | re.IGNORECASE,
)

# Texts of PostgreSQL, pydantic and Python that repeat what they were given.
ECHOES: Final = re.compile(
    r"""
    (?P<row>Failing\ row\ contains\ )\(.*?\)\.?(?=\n|\Z)
  | (?P<key>Key\ \([^)\n]*\)=)\(.*?\)(?=\ (?:already|conflicts|is|was)\b|\.?\s*(?:\n|\Z))
  | (?P<input>\binput_value=).*?(?=,\ input_type=|\Z)
  | (?P<value>\b(?:invalid\ input\ (?:syntax|value|for\ query\ argument)|invalid\ literal\ for
        |could\ not\ convert\ string
        |COPY\ [\w".]+,\ line\ \d+|JSON\ data,\ line\ \d+|Invalid\ isoformat\ string)[^:\n]*:)[^\n]+
    """,
    re.VERBOSE | re.DOTALL,
)
ANYTHING: Final = re.compile(r"[\d=:(]").search

# Numbers that are not about a person although they are long.
_COUNTS: Final = re.compile(
    r"(?:^|_)(?:idr|s|ms|us|ns|bytes|count|counts|total|offset|offsets|sequence|revision|rows|events|messages|lag|depth|port"
    r"|pid|seed|time|timestamp|partition|partitions|budget|amount|instance|version|line|lineno|width|height|size|max|min)$"
).search
_REGIONS: Final = frozenset(
    {"village", "village_code", "villages", "district", "district_code", "regency", "regency_code", "region"}
    | {"province", "province_code"}
)
_HEX_ID: Final = re.compile(r"[0-9a-f]{16}|[0-9a-f]{32}").fullmatch
_ID_NAMES: Final = frozenset(
    {
        "id",
        "event_id",
        "trace_id",
        "span_id",
        "causation_id",
        "correlation_id",
        "causationid",
        "correlationid",
        "digest",
    }
)
# Kemendagri codes of the 38 provinces, the first two digits of every region code.
_PROVINCES: Final = frozenset(
    {*map(str, range(11, 20)), "21", *map(str, range(31, 37)), *map(str, range(51, 54)), *map(str, range(61, 66))}
    | {*map(str, range(71, 77)), "81", "82", *map(str, range(91, 97))}
)


@lru_cache(maxsize=4096)
def field_name(key: str) -> str:
    """`beneficiaryAccountNo` and `beneficiary-account-no` as `beneficiary_account_no`."""
    return _CAMEL.sub("_", key).replace("-", "_").lower()


@lru_cache(maxsize=4096)
def is_private(key: str) -> bool:
    """Whether a field of this name is about a person (or is a secret), so that its value is replaced whole."""
    name = field_name(key)
    return name not in _NOT_PRIVATE and (
        name in _WHOLE_NAMES or name.endswith(_ENDINGS) or name.startswith(_BEGINNINGS)
    )


@lru_cache(maxsize=4096)
def is_count(key: str) -> bool:
    """Whether a field of this name holds amounts, times or positions."""
    return _COUNTS(field_name(key)) is not None


def is_public_code(key: str, text: str) -> bool:
    """A region's code in a field that is named so, or a hexadecimal id in a field for ids."""
    name = field_name(key)
    if name in _REGIONS:
        return len(text) in (2, 4, 6, 10) and text.isascii() and text.isdigit() and text[:2] in _PROVINCES
    return name in _ID_NAMES and _HEX_ID(text) is not None and not text.isdigit()


def kind_of(digits: str) -> str:
    """What a run of digits is called where it stood."""
    bare = "".join(c for c in digits if c.isdigit())
    if _PHONE(bare):
        return "[phone]"
    return "[nik]" if len(bare) == 16 else "[number]"
