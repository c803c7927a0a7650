"""What a source writes can be anything, and the report reads on."""

import pytest

from salur.report.answers import _answer, _sent_id


@pytest.mark.parametrize(
    "value",
    [
        b'{"specversion":"1.0","id":"\xff\xfe","source":"x"}',
        b'{"specversion":"1.0","id":7',
        b"[]",
        b"\x00",
        b"[" * 5000,
        b'{"code":"id_reused"',
        b'{"data":[],"x":{"code":"id_reused"}}',
        b'{"data":{"submission":{"source":"\xff","id":"\xfe"}}}',
    ],
)
def test_junk_is_no_submission(value: bytes) -> None:
    assert _sent_id(value) is None
    assert _answer(value) is None
