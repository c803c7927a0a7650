"""A process whose client of Kafka hangs for good ends, whatever hangs."""

import subprocess
import sys

PROGRAM = """
import asyncio
from contextlib import suppress
from shared.runtime.client import ClientStuck
from shared.runtime.process import run_until_told
from shared.settings import ServiceSettings

async def hangs():
    while True:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

async def main(stopping):
    hanging.append(asyncio.create_task(hangs()))
    await asyncio.sleep(0)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fails())

async def fails():
    raise ClientStuck("it hangs", hint="start this process again")

hanging = []
run_until_told("payout", ServiceSettings(kafka="127.0.0.1:1", postgres="postgresql://nobody@127.0.0.1:1/none"), main)
"""


def test_what_hangs_does_not_keep_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "it hangs" in done.stdout + done.stderr
