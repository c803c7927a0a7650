"""Deliberate faults in the runtime, each of which a test must catch: `python -m tests.model.mutations [NAME…]`.

Each fault is made in a copy of the code, and the model runs against it. A fault that nothing catches is a hole in the
tests; the script then exits with 1. `test_mutations_fit` keeps the list true to the code.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parent.parent.parent
PARTS = ("shared", "services", "salur", "simulators", "tests", "pyproject.toml")
TIMEOUT_S = 300


class Mutation(NamedTuple):
    """`old` stands exactly once in the file and is replaced by `new`."""

    name: str
    file: str
    old: str
    new: str


MUTATIONS = (
    Mutation(
        "positions are moved without a check",
        "shared/runtime/positions.py",
        "            WHERE p.next_offset = e.expected_offset\n",
        "",
    ),
    Mutation(
        "positions are moved last",
        "shared/runtime/turn.py",
        """            await positions.move(transaction.tx, self.positions, reached)
            if batch.received:
                transaction.emit(await self.stage.handle(batch, transaction.tx))
""",
        """            if batch.received:
                transaction.emit(await self.stage.handle(batch, transaction.tx))
            await positions.move(transaction.tx, self.positions, reached)
""",
    ),
    Mutation(
        "positions are moved in a transaction of their own",
        "shared/runtime/turn.py",
        "            await positions.move(transaction.tx, self.positions, reached)\n            if batch",
        "            await positions.move(self.outbox.pool, self.positions, reached)\n            if batch",
    ),
    Mutation(
        "the outbox is deleted before it is published",
        "shared/runtime/publisher.py",
        "        done: list[OutboxRow] = []\n",
        "        await self._delete(rows)\n        done: list[OutboxRow] = []\n",
    ),
    Mutation(
        "a row counts as published before it is",
        "shared/runtime/publisher.py",
        "    for row in rows:\n        for batch in _record_batches(producer, row):\n",
        "    for row in rows:\n        done.append(row)\n        for batch in _record_batches(producer, row):\n",
    ),
    Mutation(
        "the sequence is taken outside the transaction",
        "shared/runtime/emit.py",
        "        positions = await _lock_positions(tx, places)\n",
        "        positions = await _lock_positions(self.pool, places)\n",
    ),
    Mutation(
        "the outbox is written after the commit",
        "shared/runtime/emit.py",
        "                rows = await self._write(transaction)\n",
        "            rows = await self._write(transaction)\n",
    ),
    Mutation(
        "the digest forgets what was before",
        "shared/runtime/emit.py",
        "                digest = extend_own(digest, sequence, key, value)\n",
        '                digest = extend_own(b"", sequence, key, value)\n',
    ),
    Mutation(
        "rows in memory are published although others come first",
        "shared/runtime/publisher.py",
        "                if row.first_sequence == expected:\n",
        "                if row.first_sequence >= expected:\n",
    ),
    Mutation(
        "re-publications are handled again",
        "shared/runtime/screening.py",
        "            if message.sequence < sequence:\n",
        "            if message.sequence < 0:\n",
    ),
    Mutation(
        "a gap is passed over in silence",
        "shared/runtime/screening.py",
        "            if message.sequence is None or message.sequence > sequence:\n",
        "            sequence = max(sequence, message.sequence or 0)\n"
        "            if message.sequence is None or message.sequence > sequence:\n",
    ),
    Mutation(
        "poison takes its neighbours along",
        "shared/runtime/turn.py",
        "        middle = len(messages) // 2\n",
        '        await self._commit(messages, [Poison("handler_failed", culprit)] * len(messages))\n'
        "        return\n        middle = len(messages) // 2\n",
    ),
    Mutation(
        "trouble is taken for poison",
        "shared/runtime/failures.py",
        "    return isinstance(error, TROUBLE) and not isinstance(error, ValueError)\n",
        "    return False\n",
    ),
    Mutation(
        "a restored database is not looked for",
        "shared/runtime/tail.py",
        "    if ahead:\n",
        "    if ahead and not ahead:\n",
    ),
    Mutation(
        "what was read ahead is kept where the positions are read anew",
        "shared/runtime/loop.py",
        "        await self._polls.drop()\n        assigned = consumer.assignment()\n",
        "        assigned = consumer.assignment()\n",
    ),
    Mutation(
        "a resumption is not seen",
        "shared/runtime/loop.py",
        "        if self.stopped and self._resumed.partition > known.partition:\n",
        "        if self.stopped and not self._resumed:\n",
    ),
)


def check(mutation: Mutation) -> tuple[bool, str]:
    """Whether the tests catch it, and the line that says how."""
    with tempfile.TemporaryDirectory(prefix="salur-mutation-") as folder:
        copy = Path(folder)
        for part in PARTS:
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, copy / part)
        path = copy / mutation.file
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(mutation.old, mutation.new, 1), encoding="utf-8")
        argv = [sys.executable, "-m", "pytest", "-n0", "-x", "-q", "--no-header", "-p", "no:cacheprovider"]
        try:
            done = subprocess.run(
                [*argv, "tests/model/test_one_partition.py"],
                cwd=copy,
                env={**os.environ, "SALUR_MODEL_QUICK": "1"},
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return True, f"the model stands still for {TIMEOUT_S} s"
    told = [
        line.strip(" |")
        for line in done.stdout.splitlines()
        if ("Error" in line or "HandedAgain" in line) and "[" not in line
    ]
    return done.returncode == 1, (told[-1] if told else "")[:110]


def main() -> int:
    wanted = [m for m in MUTATIONS if not sys.argv[1:] or m.name in sys.argv[1:]]
    table, survived = Table("fault", "caught", "by", box=None), 0
    console = Console(width=180)
    for mutation in wanted:
        with console.status(mutation.name):
            caught, how = check(mutation)
        survived += not caught
        table.add_row(mutation.name, "yes" if caught else "[red]NO[/red]", how)
    console.print(table)
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
