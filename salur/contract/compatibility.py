"""Whether a change of a schema would break somebody who was built against the last release.

A reader of the release meets events of today's writers; a writer of the release meets today's readers. Adding an
optional field is the only free change; anything else is a new version of the type beside the old one.
"""

from typing import Any

from salur.contract.schemas import Schema

_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems")
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")


def breaks(released: Schema, current: Schema) -> list[str]:
    """What breaks, each with the path of the field; empty when nothing does."""
    return list(_compare(released, current, released, current, "$"))


def _compare(old: Any, new: Any, old_root: Schema, new_root: Schema, path: str) -> list[str]:
    old, new = _resolve(old, old_root), _resolve(new, new_root)
    found = _type_changes(old, new, path) + _bound_changes(old, new, path)
    found += _object_changes(old, new, old_root, new_root, path)
    if "items" in old and "items" in new:
        found += _compare(old["items"], new["items"], old_root, new_root, f"{path}[]")
    choices = list(zip(old.get("anyOf", ()), new.get("anyOf", ()), strict=False))
    if len(old.get("anyOf", ())) != len(new.get("anyOf", ())):
        found.append(f"{path}: the alternatives changed")
    for number, (a, b) in enumerate(choices):
        found += _compare(a, b, old_root, new_root, f"{path}|{number}")
    return found


def _resolve(node: Any, root: Schema) -> Schema:
    while isinstance(node, dict) and "$ref" in node:
        target: Any = root
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    return node if isinstance(node, dict) else {}


def _type_changes(old: Schema, new: Schema, path: str) -> list[str]:
    found = []
    if old.get("type") != new.get("type"):
        found.append(f"{path}: type {old.get('type')} became {new.get('type')}")
    allowed, allows = _values(old), _values(new)
    if allowed != allows:
        found.append(f"{path}: values {sorted(allowed or ['any'])} became {sorted(allows or ['any'])}")
    changed = (word for word in ("pattern", "format") if old.get(word) != new.get(word))
    return found + [f"{path}: {word} {old.get(word)} became {new.get(word)}" for word in changed]


def _values(node: Schema) -> set[str] | None:
    if "const" in node:
        return {str(node["const"])}
    return {str(value) for value in node["enum"]} if "enum" in node else None


def _bound_changes(old: Schema, new: Schema, path: str) -> list[str]:
    """A bound that tightens breaks the writer; one that loosens breaks no reader that follows the field's meaning."""
    found = []
    for word in (*_LOWER, *_UPPER):
        before, after = old.get(word), new.get(word)
        if after is None or before == after:
            continue
        if before is None or (after > before if word in _LOWER else after < before):
            found.append(f"{path}: {word} {before} became {after}")
    return found


def _object_changes(old: Schema, new: Schema, old_root: Schema, new_root: Schema, path: str) -> list[str]:
    before, after = old.get("properties", {}), new.get("properties", {})
    must_before, must_after = set(old.get("required", ())), set(new.get("required", ()))
    found = [f"{path}.{name}: removed" for name in before.keys() - after.keys()]
    found += [f"{path}.{name}: newly required" for name in must_after - must_before]
    found += [f"{path}.{name}: no longer always there" for name in (must_before - must_after) & after.keys()]
    for name in before.keys() & after.keys():
        found += _compare(before[name], after[name], old_root, new_root, f"{path}.{name}")
    return sorted(found)
