"""What was submitted has a digest, whatever it is."""

from services.registry.fingerprint import Fingerprint
from shared.privacy import Keyring


def test_the_same_json_in_another_spelling_is_the_same(keyring: Keyring) -> None:
    of = Fingerprint(keyring).of_submission
    assert of("flag", b'{"a": 1, "b": [2]}') == of("flag", b'{"b":[2],"a":1}')
    assert of("flag", b'{"a": 1}') != of("registration", b'{"a": 1}')
    assert of("flag", b'{"a": 1}') != of("flag", b'{"a": 2}')


def test_what_is_no_json_or_nested_deeper_than_can_be_written_has_one_too(keyring: Keyring) -> None:
    of = Fingerprint(keyring).of_submission
    deep = [b"[" * depth + b"]" * depth for depth in (300, 900, 5000)]
    assert len({of("registration", text) for text in (b"", b"{", b"\xff", *deep)}) == 6
