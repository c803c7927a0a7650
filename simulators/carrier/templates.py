"""Message templates: a JSON file, name -> language -> body with {{1}}, {{2}}…, as they were approved."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

_PLACE = re.compile(r"\{\{\s*(\d+)\s*\}\}")


class Templates:
    """The templates of one file, or with no file any template at all, rendered as its name and parameters."""

    def __init__(self, bodies: dict[str, dict[str, str]] | None) -> None:
        self._bodies = bodies
        self._places = {
            (name, language): len(set(_PLACE.findall(body)))
            for name, languages in (bodies or {}).items()
            for language, body in languages.items()
        }

    def parameters(self, name: str, language: str) -> int | None:
        """How many parameters the template takes. None when any number will do; raises KeyError when there is no such
        template in this language."""
        if self._bodies is None:
            return None
        return self._places[name, language]

    def text(self, name: str, language: str, values: Sequence[str]) -> str:
        """What the phone shows. A template that has left the file since is shown by its name and parameters."""
        body = (self._bodies or {}).get(name, {}).get(language)
        if body is None:
            return "\n".join((f"[{name}]", *values))
        return _PLACE.sub(lambda place: _value(values, int(place[1])), body)


def load(path: Path | None) -> Templates:
    """Read the file. Raises ValueError that says what is wrong with it."""
    if path is None:
        return Templates(None)
    try:
        bodies = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
    if not isinstance(bodies, dict):
        raise ValueError(f"{path}: not a JSON object of templates")
    for name, languages in bodies.items():
        if not isinstance(languages, dict) or not all(isinstance(body, str) for body in languages.values()):
            raise ValueError(f"{path}: template {name}: expected language -> text")
        for language, body in languages.items():
            places = {int(place) for place in _PLACE.findall(body)}
            if places != set(range(1, len(places) + 1)):
                raise ValueError(f"{path}: template {name} ({language}): its places are not numbered 1, 2, 3…")
    return Templates(bodies)


def _value(values: Sequence[str], place: int) -> str:
    return values[place - 1] if 0 < place <= len(values) else f"{{{{{place}}}}}"
