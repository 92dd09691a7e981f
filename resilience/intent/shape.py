"""From plain values to a `Document`, with every misshapen part reported in our own words.

What is misshapen is taken out and the rest read again, so that a wrong value here does not hide a dangling name there.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from resilience.intent.document import Document, Part
from resilience.intent.problems import Problem, join_names, nearest, show
from resilience.intent.reader import MAXIMUM_PROBLEMS, Tree
from resilience.intent.scalars import is_name

Path = tuple[str | int, ...]
Shape = TypeVar("Shape", bound=Part)

KINDS = {
    "risks": "risk",
    "sites": "site",
    "routers": "router",
    "links": "link",
    "providers": "provider",
    "uplinks": "uplink",
    "exchanges": "exchange",
    "ports": "port",
    "route_servers": "route server",
    "peers": "peer",
    "customers": "customer",
    "services": "service",
    "objectives": "objective",
    "rpki": "validator",
    "contacts": "contact",
    "flows": "flow",
    "fail": "failure",
}
"""The keys that hold nouns, and what people call one of them."""

_INNER_KINDS = frozenset({"ports", "route_servers", "peers", "contacts"})
"""Those that stand inside another noun; a noun's `risks` are references."""
_SYNONYMS = {
    "as": "asn",
    "as_number": "asn",
    "remote_as": "asn",
    "ip": "address",
    "ipv4": "address",
    "ipv6": "address",
    "bandwidth": "capacity",
    "speed": "capacity",
    "gateway": "neighbor",
    "remote": "neighbor",
    "priority": "rank",
    "preference": "rank",
    "location": "site",
    "md5": "password",
    "secret": "password",
    "key": "password",
    "holdtime": "hold",
    "hold_time": "hold",
    "endpoints": "between",
    "ends": "between",
    "timeout": "within",
    "isps": "providers",
    "ixps": "exchanges",
    "validators": "rpki",
    "os": "platform",
    "depends_on": "needs",
    "srlg": "risks",
}
_FILL: dict[str, Any] = {"network": "unnamed", "asn": "1", "prefixes": [], "routers": {}}
"""Stand-ins for missing keys at the top, so that the rest can still be looked at. Never part of a valid network."""
_PASSES = 8
_KEY = "[key]"
_CUT: dict[Any, Any] = {}


def read_shape(tree: Tree) -> tuple[Document | None, list[Problem]]:
    """Return the document, as far as it can be read, and what is misshapen in it."""
    return read_shape_of(tree, Document, _FILL)


def read_shape_of(tree: Tree, root: type[Shape], fill: Mapping[str, Any]) -> tuple[Shape | None, list[Problem]]:
    """Return a document of some shape, as far as it can be read, and what is misshapen; `fill`: see `_FILL`."""
    problems: list[Problem] = []
    cut = tree.cut
    value: Any = tree.value
    for _ in range(_PASSES):
        try:
            return root.model_validate(value), problems
        except ValidationError as error:
            found = error.errors(include_url=False)
        meant = _meant_keys(tree, found, root)
        for one in found:
            path = tree.original(tuple(step for step in one["loc"] if step != _KEY))
            missing = one["type"] == "missing"
            said = missing and (path in meant or (*tree.written(path[:-1]), path[-1]) in cut)
            if not said and len(problems) < MAXIMUM_PROBLEMS:
                problems.append(_translate(tree, one, path, root))
            cut.add(path if missing and len(path) == 1 else tree.written(path[:-1] if missing else path))
        tree.kept.clear()
        value = _prune(tree.value, _branches(cut), (), tree.kept)
        for key, stand_in in fill.items():
            if (key,) in cut:
                value[key] = stand_in
    return None, problems


def _branches(paths: set[Path]) -> dict[Any, Any]:
    """Return paths as a tree whose ends are `_CUT`."""
    tree: dict[Any, Any] = {}
    for path in sorted(paths, key=len):
        here = tree
        for step in path[:-1]:
            here = here.setdefault(step, {})
            if here is _CUT:
                break
        else:
            here[path[-1]] = _CUT
    return tree


def _prune(value: Any, branches: dict[Any, Any], path: Path, kept: dict[Path, list[int]]) -> Any:
    """Return a copy without the cut parts; what is untouched is shared, since aliases may share it too."""
    if isinstance(value, dict):
        return {
            key: _prune(item, branches[key], (*path, key), kept) if key in branches else item
            for key, item in value.items()
            if branches.get(key) is not _CUT
        }
    if isinstance(value, list):
        indexes = [index for index in range(len(value)) if branches.get(index) is not _CUT]
        if len(indexes) < len(value):
            kept[path] = indexes
        return [
            _prune(value[index], branches[index], (*path, index), kept) if index in branches else value[index]
            for index in indexes
        ]
    return value


def _translate(tree: Tree, found: Any, path: Path, root: type[Part]) -> Problem:
    """Return pydantic's finding in our own words."""
    kind = found["type"]
    if kind == "extra_forbidden":
        return _unknown_key(tree, path, root)
    where = f"{label(tree, path, root.WHOLE)}: "
    if kind == "missing":
        key = str(path[-1])
        return tree.problem("missing-key", path[:-1], f"{where}`{key}` is missing", _describe(path, root), key=True)
    context = found.get("ctx", {})
    if "message" in context:
        at_key = found["loc"][-1:] == (_KEY,) or found["input"] is None
        return tree.problem(kind, path, where + context["message"], context["hint"], key=at_key)
    value = found["input"]
    wanted = "a list" if kind == "list_type" else "a mapping of keys to values"
    subject = f"`{path[-1]}`" if path and isinstance(path[-1], str) else "this"
    if value is None:
        return tree.problem("empty-value", path, f"{where}{subject} has no value", f"{wanted} belongs here", key=True)
    return tree.problem(
        "wrong-type", path, f"{where}{wanted} belongs here, this is {show(value)}", _describe(path, root)
    )


def _meant_keys(tree: Tree, found: list[Any], root: type[Part]) -> set[Path]:
    """Return the keys that unknown keys were probably meant to be: that they are missing needs no saying."""
    unknown = [tree.original(one["loc"]) for one in found if one["type"] == "extra_forbidden"]
    near = ((path, _nearest_key(path, root)) for path in unknown)
    return {(*path[:-1], key) for path, key in near if key is not None}


def _nearest_key(path: Path, root: type[Part]) -> str | None:
    known = keys_of(_part_at(path[:-1], root))
    meant = _SYNONYMS.get(str(path[-1]).lower().replace("-", "_"))
    return meant if meant in known else nearest(path[-1], known)


def _unknown_key(tree: Tree, path: Path, root: type[Part]) -> Problem:
    key = path[-1]
    near = _nearest_key(path, root)
    known = keys_of(_part_at(path[:-1], root))
    hint = f"did you mean `{near}`?" if near else f"its keys are {join_names(known, most=20, last='and')}"
    owner = label(tree, path[:-1], root.WHOLE)
    return tree.problem("unknown-key", path, f"{owner} has no key {show(key)}", hint, key=True)


def keys_of(part: type[BaseModel]) -> list[str]:
    """Return the keys of a part as they are written."""
    return [field.alias or name for name, field in part.model_fields.items()]


def _describe(path: Path, root: type[Part]) -> str:
    """Return what the language says of a key."""
    if not path or not isinstance(path[-1], str):
        return ""
    part = _part_at(path[:-1], root)
    for name, field in part.model_fields.items():
        if (field.alias or name) == path[-1] and field.description:
            return f"`{path[-1]}`: {field.description}"
    return ""


def _part_at(path: Path, root: type[Part]) -> type[BaseModel]:
    """Return the part of the language that stands at a path."""
    part: type[BaseModel] = root
    steps = list(path)
    while steps:
        key = steps.pop(0)
        field = next((field for name, field in part.model_fields.items() if (field.alias or name) == key), None)
        inner, containers = _inner(field.annotation) if field is not None else (None, 0)
        if inner is None:
            return part
        part = inner
        del steps[:containers]
    return part


def _inner(annotation: Any) -> tuple[type[BaseModel] | None, int]:
    """Return the part inside an annotation and how many lists or mappings are around it."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, 0
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _inner(arguments[0])
    if origin in (list, dict):
        inner, containers = _inner(arguments[-1])
        return inner, containers + 1
    if origin in (Union, UnionType):
        return next((found for found in map(_inner, arguments) if found[0] is not None), (None, 0))
    return None, 0


def label(tree: Tree, path: Path, whole: str = Document.WHOLE) -> str:
    """Return what people call the noun at a path: `uplink dakar`, `port 2 of exchange mlix`."""
    names: list[str] = []
    steps = list(path)
    while len(steps) > 1 and steps[0] in (_INNER_KINDS if names else KINDS):
        key = str(steps.pop(0))
        names.append(_name_one(tree, path[: len(path) - len(steps)], key, steps.pop(0)))
    return " of ".join(reversed(names)) if names else whole


def _name_one(tree: Tree, path: Path, key: str, step: str | int) -> str:
    kind = KINDS[key]
    if isinstance(step, str):
        return f"{kind} {step}" if is_name(step) else f"{kind} {show(step)}"
    if key == "links":
        ends = tree.stated((*path, step, "between"))
        if isinstance(ends, list) and len(ends) == 2 and all(isinstance(end, str) for end in ends):
            return f"link {show('-'.join(ends))[1:-1]}"
    if key == "ports":
        router = tree.stated((*path, step, "router"))
        if isinstance(router, str):
            return f"port at {show(router)[1:-1]}"
    return f"{kind} {step + 1}"
