"""A stack's table of programs without monitor, sign-in and look-up, for tests that are about none of them."""

from salur.stack.programs import PROGRAMS as EVERY

TABLE = "tests.integration.lean:PROGRAMS"
PROGRAMS = tuple(program for program in EVERY if program.name not in ("issuer", "lookup", "monitor"))
