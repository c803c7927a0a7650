"""A value that only the holder of one purpose's key can read, as text: `KEYID.BOX`.

BOX is base64url without padding of nonce (12 random bytes), AES-GCM ciphertext and tag (16). The plaintext is padded
to a multiple of a block first, so that the length tells little of what is inside (a disability, one more member).
The associated data binds purpose, schema and recipient: a value that was moved to another field, event or person does
not open.
"""

import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from functools import lru_cache
from typing import Any, ClassVar, Final, Literal, get_args

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

Purpose = Literal["eligibility", "payment", "contact", "particulars", "recovery", "access"]
PURPOSES: Final[tuple[Purpose, ...]] = get_args(Purpose)

NONCE_BYTES: Final = 12

# Every key id says in its first letters what it is for. Letters only: a scrubber never takes one for a number.
ID_PREFIXES: Final = {
    "eligibility": "eli",
    "payment": "pay",
    "contact": "con",
    "particulars": "par",
    "recovery": "rec",
    "access": "acc",
    "submission": "sub",
}
KEY_ID_PATTERN: Final = rf"(?:{'|'.join(ID_PREFIXES.values())})-[a-z]{{8}}"

# Plaintexts grow to a multiple of the block, less one byte: nonce, ciphertext and tag then fill whole groups of three
# bytes, so the text has no padding and no unused bits, and each value has exactly one spelling.
_BLOCK_BYTES: Final[dict[str, int]] = {
    "eligibility": 192,
    "payment": 96,
    "contact": 96,
    "particulars": 192,
    "recovery": 48,
    "access": 48,
}
_BOX_PATTERN: Final = r"[A-Za-z0-9_-]{100,}"
SEALED_PATTERN: Final = rf"^(?:eli|pay|con|par|rec)-[a-z]{{8}}\.{_BOX_PATTERN}$"
_SEALED_CHARS_MAX: Final = 4_000_000

_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_+/", b"+/!!")

_KEY_ID = re.compile(KEY_ID_PATTERN).fullmatch


class Sealed(str):
    """The text of a sealed value. JSON, pydantic and database drivers see the text; people and logs see
    `<sealed KEYID 123 B>`, because `str()`, `repr()` and formatting give that. `.value` is the plain text.

    Making one checks nothing (rows of our own tables are made into it by the thousand); pydantic fields check the
    form, and `Keyring.open` everything.
    """

    __slots__ = ()
    PATTERN: ClassVar[str] = SEALED_PATTERN

    @property
    def value(self) -> str:
        """The text itself, as an ordinary string."""
        return str.__str__(self)

    @property
    def key_id(self) -> str:
        return self.partition(".")[0]

    def __repr__(self) -> str:
        return shown(str.__str__(self))

    __str__ = __repr__

    def __format__(self, format_spec: str) -> str:
        return format(repr(self), format_spec)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            cls, core_schema.str_schema(pattern=cls.PATTERN, max_length=_SEALED_CHARS_MAX)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(schema) | {
            "description": "AES-GCM sealed value: key id, a dot, base64url of nonce, ciphertext and tag",
        }


class SealedCode(Sealed):
    """A one-time code, sealed for `access`: this value and no other fits the field."""

    __slots__ = ()
    PATTERN: ClassVar[str] = rf"^acc-[a-z]{{8}}\.{_BOX_PATTERN}$"


def shown(text: str) -> str:
    """How a sealed text is shown to people. The number is the bytes of nonce, ciphertext and tag."""
    key_id, _, box = text.partition(".")
    return f"<sealed {key_id} {len(box) * 3 // 4} B>" if is_key_id(key_id) else "<sealed, not in form>"


def is_key_id(text: str) -> bool:
    return _KEY_ID(text) is not None


def text_of(key_prefix: str, box: bytes) -> Sealed:
    """`key_prefix` ends with the dot."""
    return Sealed(key_prefix + b2a_base64(box, newline=False).translate(_TO_URL).decode("ascii"))


def box_of(text: str) -> bytes:
    """Nonce, ciphertext and tag from the part after the dot. Raises ValueError for any but the one right spelling."""
    try:
        return a2b_base64(text.encode("ascii").translate(_FROM_URL), strict_mode=True)
    except Base64Error:
        raise ValueError("not base64url") from None


def padded(purpose: Purpose, plaintext: bytes) -> bytes:
    """One byte 0x80 and zeros to the next length that ends a block (ISO/IEC 7816-4)."""
    block = _BLOCK_BYTES[purpose]
    return plaintext + b"\x80" + bytes(-(len(plaintext) + 2) % block)


def unpadded(padded_plaintext: bytes) -> bytes:
    return padded_plaintext[: padded_plaintext.rindex(b"\x80")]


def associated_data(purpose: Purpose, recipient: str, schema: str) -> bytes:
    """Every part with its length in front, so that no two triples give the same bytes."""
    who = recipient.encode()
    return _associated_prefix(purpose, schema) + len(who).to_bytes(2, "big") + who


@lru_cache(maxsize=512)
def _associated_prefix(purpose: str, schema: str) -> bytes:
    parts = ("salur/sealed/v1", purpose, schema)
    return b"".join(len(raw).to_bytes(2, "big") + raw for raw in (part.encode() for part in parts))
