"""Reads the programmes' YAML and the sentences, and refuses what is not whole, naming file and field."""

import hashlib
import json
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from services.eligibility.domain.programme import Programme
from services.eligibility.domain.reasons import Catalogue
from services.eligibility.domain.rules import Rule
from shared.errors import SalurError

M = TypeVar("M", bound=BaseModel)

_PACKAGE = "services.eligibility"


class RulesInvalid(SalurError):
    """A rules file cannot be used."""


@dataclass(frozen=True, slots=True)
class Rulebook:
    """All programmes in force, by name. `digest` differs when anything in any of them does."""

    rules: tuple[Rule, ...]
    digest: str

    def contents(self) -> dict[str, dict[str, Any]]:
        """What is kept for the auditor: every programme in full, by name."""
        return {rule.name: rule.programme.model_dump(mode="json") for rule in self.rules}


def load(folder: Path | None = None) -> Rulebook:
    """The programmes of `folder`, or those that come with Salur. Raises RulesInvalid."""
    source: Traversable = folder or files(_PACKAGE) / "programmes"
    if not source.is_dir():
        raise RulesInvalid(f"there is no folder of programmes at {source}", hint="SALUR_PROGRAMMES names it")
    catalogue = _read(files(_PACKAGE) / "reasons.yaml", Catalogue)
    programmes = [_programme(f) for f in source.iterdir() if f.name.endswith((".yaml", ".yml"))]
    if not programmes:
        raise RulesInvalid(f"the folder {source} holds no programme", hint="each is one NAME.yaml")
    return rulebook(programmes, catalogue)


def rulebook(programmes: list[Programme], catalogue: Catalogue) -> Rulebook:
    """In the order of names."""
    rules = tuple(Rule(programme, catalogue) for programme in sorted(programmes, key=lambda p: p.programme))
    text = json.dumps([rule.programme.model_dump(mode="json") for rule in rules], sort_keys=True)
    return Rulebook(rules, hashlib.sha256(text.encode()).hexdigest())


def _programme(file: Traversable) -> Programme:
    programme = _read(file, Programme)
    if programme.programme != file.name.rpartition(".")[0]:
        raise RulesInvalid(
            f"{file.name}: programme: is {programme.programme!r}", hint="a programme's file is named as the programme"
        )
    return programme


def _read(file: Traversable, model: type[M]) -> M:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise RulesInvalid(f"{file.name}, line {line}: {error.problem}", hint="the file must be YAML") from None
    except (OSError, ValueError, yaml.YAMLError):
        raise RulesInvalid(f"{file.name} cannot be read as YAML") from None
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, p['loc'])) or 'the whole'}: {p['msg']}" for p in error.errors()]
        raise RulesInvalid(
            f"{file.name}: {'; '.join(problems)}", hint="docs/reference/programmes.md lists the fields"
        ) from None
