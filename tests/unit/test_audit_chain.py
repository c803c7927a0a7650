"""The chain as the reference states it, and one partition's messages taken in order."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from aiokafka.structs import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st

from salur.inside.audit.chain import Chain, Head
from salur.inside.audit.result import Findings, Kind
from shared.runtime.digest import Record, extend, extend_own, headers
from shared.runtime.positions import Place

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "audit.md"


def test_the_references_vector_and_code_are_right() -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    key = re.search(r"key `(r-[0-9a-f]{32})`", text)
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert key
    assert code
    names: dict[str, Callable[..., bytes]] = {}
    exec(code[1], names)
    digest = b""
    rows = re.findall(r"^\| (\d) \| `(.*)` \| `([0-9a-f]{64})` \|$", text, re.MULTILINE)
    assert len(rows) == 2
    for number, value, expected in rows:
        arguments = (int(number), key[1].encode(), headers(int(number)), value.encode())
        assert names["extend"](digest, *arguments) == extend(digest, *arguments) == bytes.fromhex(expected)
        digest = bytes.fromhex(expected)


@given(st.binary(max_size=32), st.integers(0, 2**63), st.binary(max_size=40), st.binary(max_size=300))
def test_the_short_way_gives_the_same(digest: bytes, sequence: int, key: bytes, value: bytes) -> None:
    assert extend_own(digest, sequence, key, value) == extend(digest, sequence, key, headers(sequence), value)


def record(offset: int, sequence: int, value: bytes) -> ConsumerRecord:
    return ConsumerRecord("t", 0, offset, 0, 0, b"k", value, None, 1, len(value), tuple(headers(sequence)))


def value(sequence: int) -> bytes:
    return b"v%d" % sequence


def head(count: int) -> Head:
    digest = b""
    for sequence in range(count):
        digest = extend_own(digest, sequence, b"k", value(sequence))
    return Head(count, digest)


def chained(sequences: Sequence[int], committed: int, outbox_from: int | None = None) -> tuple[Chain, Findings]:
    """A partition that holds these sequences; an outbox that holds the committed ones from `outbox_from` on."""
    findings = Findings()
    chain = Chain("registry", Place("t", 0), head(committed), findings)
    chain.take([record(offset, sequence, value(sequence)) for offset, sequence in enumerate(sequences)])
    if outbox_from is not None:
        chain.take_waiting(outbox_from, (Record(b"k", value(n)) for n in range(outbox_from, committed)))
    chain.finish()
    return chain, findings


@st.composite
def published(draw: st.DrawFn) -> tuple[int, list[int], int, int]:
    """(committed, what the topic holds, first event in the outbox, later events).

    Any publisher may start anew at any earlier event, the outbox may overlap with the topic, the flow goes on.
    """
    committed = draw(st.integers(1, 20))
    topic: list[int] = []
    for start, length in draw(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20)), max_size=4)):
        start = min(start, max(topic, default=-1) + 1)
        topic += range(start, min(start + length, committed))
    reached = max(topic, default=-1) + 1
    later = draw(st.integers(0, 3)) if reached == committed else 0
    return committed, [*topic, *range(committed, committed + later)], draw(st.integers(0, reached)), later


@given(published())
def test_what_publishers_do_is_right(case: tuple[int, list[int], int, int]) -> None:
    committed, topic, outbox_from, later = case
    chain, findings = chained(topic, committed, outbox_from)
    assert findings.listed == []
    assert chain.accepted - chain.later == committed
    assert chain.later == later


@given(st.integers(3, 20), st.data())
def test_an_event_that_is_not_there_is_missed(committed: int, data: st.DataObject) -> None:
    lost = data.draw(st.integers(0, committed - 1))
    _, findings = chained([n for n in range(committed) if n != lost], committed)
    assert set(findings.counts()) == {Kind.MISSING if lost == committed - 1 else Kind.GAP}


@given(st.integers(1, 10), st.data())
def test_any_changed_byte_is_found(committed: int, data: st.DataObject) -> None:
    changed, findings = data.draw(st.integers(0, committed - 1)), Findings()
    chain = Chain("registry", Place("t", 0), head(committed), findings)
    chain.take([record(n, n, value(n) + (b"!" if n == changed else b"")) for n in range(committed)])
    chain.finish()
    assert set(findings.counts()) == {Kind.DIGEST}


def test_a_foreign_header_is_found() -> None:
    findings = Findings()
    chain = Chain("registry", Place("t", 0), head(1), findings)
    foreign = record(0, 0, value(0))
    foreign.headers = (*foreign.headers, ("x", b"y"))
    chain.take([foreign])
    chain.finish()
    assert set(findings.counts()) == {Kind.DIGEST}
