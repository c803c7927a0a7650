"""The rules of alerts, from their file."""

from functools import cache
from importlib.resources import files

import yaml

from services.monitor.domain.rules import RULES, Rule


@cache
def rulebook() -> tuple[Rule, ...]:
    """In the order of the file. Raises pydantic's ValidationError where it is not in form."""
    text = (files("services.monitor") / "rules.yaml").read_text(encoding="utf-8")
    return RULES.validate_python(yaml.safe_load(text))
