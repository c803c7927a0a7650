"""A stack of tiny programs, to try the supervisor on: each is one real process with one port."""

from typing import Any

from salur.stack.programs import STOP_SIMULATORS, Context, Program, python_program


def _tiny(name: str, **settings: Any) -> Program:
    def env(context: Context, instance: int) -> dict[str, str]:
        fail = context.wanted.options.get(name, {}).get("fail", "0")
        return {"TINY_PORT": str(context.port(name, instance)), "TINY_FAIL": fail}

    return python_program(name, "tests.integration.tiny_web", env=env, **settings)


PROGRAMS = (
    _tiny("ground", stop_rank=STOP_SIMULATORS),
    _tiny("worker", depends_on=("ground",), scalable=True),
)
