"""A stack of nothing but its Kafka and one tiny program that depends on it."""

from salur.stack.programs import PROGRAMS as EVERY
from salur.stack.programs import Context, python_program


def _env(context: Context, instance: int) -> dict[str, str]:
    return {"TINY_PORT": str(context.port("worker", instance)), "TINY_FAIL": "0"}


PROGRAMS = (
    *(program for program in EVERY if program.name == "kafka"),
    python_program("worker", "tests.integration.tiny_web", env=_env, depends_on=("kafka",)),
)
