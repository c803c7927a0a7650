"""A stack of nothing but the registry: its Kafka and PostgreSQL are given."""

from salur.stack.programs import PROGRAMS as EVERY

PROGRAMS = tuple(program for program in EVERY if program.name == "registry")
