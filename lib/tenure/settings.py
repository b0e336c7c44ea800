"""YAML files that people write: read strictly, and what is wrong with them said in one sentence."""

from __future__ import annotations

import copy
import re
import typing
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from tenure.errors import InputError, all_faults
from tenure.parameters import nearest

Model = TypeVar("Model", bound=BaseModel)


_PLAIN = ("bool", "int", "float", "datetime", "date", "str")


class Loader(yaml.SafeLoader):
    """YAML in which no key comes twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping's keys and values."""
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.YAMLError(f"line {key.start_mark.line + 1} repeats the key {key.value!r}")
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_settings(
    file: Path,
    model: type[Model],
    *,
    label: str = "",
    example: str = "",
    loader: type[Loader] = Loader,
    faults: list[str] | None = None,
) -> Model:
    """Read a YAML file into a model.

    Args:
        file: The file, which must be there.
        model: What it becomes.
        label: What sentences call it; empty: by its name.
        example: A file that explains its keys.
        loader: Which scalars are what.
        faults: Gets a sentence for each key or value that is not as it should be, which then count as absent;
            None: they are refused, all at once.

    Raises:
        InputError: It is not YAML, has a key twice or one that is unknown, or a value is not as it should be.
    """
    label, see = label or file.name, example or str(file)
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), loader)
    except RecursionError:
        raise InputError(
            f"{label}: its brackets lie too deep inside each other. Fix: write it flat; see {see}."
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        said = " ".join(str(error).split())[:200]
        says = f"line {mark.line + 1}: {getattr(error, 'problem', '')}" if mark else said
        raise InputError(f"{label} is not YAML: {says}. Fix: correct that line.") from None
    if not isinstance(content, dict) and (content is not None or example):
        keys = " or ".join(f"`{name}:`" for name in list(_keys(model))[-2:])
        raise InputError(f"{label} has no keys. Fix: write lines of `key: value`, such as {keys}; see {see}.")
    found: dict[str, str] = {}
    while True:
        try:
            read = model.model_validate(content or {})
            break
        except ValidationError as error:
            wrong = error.errors()
            # A misspelt key is also a missing one.
            misspelt = {one["loc"][:-1] for one in wrong if one["type"] == "extra_forbidden"}
            wrong = [one for one in wrong if one["type"] != "missing" or one["loc"][:-1] not in misspelt]
            for one in wrong:
                place, problem = _problem(one, model, content, see)
                found.setdefault(place, problem)
            less = _without(content, [one["loc"] for one in error.errors()])
            if faults is None or less == content:
                raise _refused(label, list(found.values())) from None
            content = less
    if faults is not None:
        faults += found.values()
    return read


def _refused(label: str, found: Sequence[str]) -> InputError:
    return all_faults(found, label) if len(found) > 1 else InputError(f"{label}: {found[0]}")


def _without(content: Any, paths: Iterable[Sequence[Any]]) -> Any:
    """Content without what the paths name, or without what lacks it."""
    content = copy.deepcopy(content)
    for path in paths:
        inside, last = content, None
        for part in path:
            if isinstance(inside, dict) and part in inside:
                inside, last = inside[part], (inside, part)
        if last:
            del last[0][last[1]]
    return content


def _problem(found: Any, model: type[BaseModel], content: Any, see: str) -> tuple[str, str]:
    """The place, and what is wrong there, with the nearest key that is known; a list's entry by its name."""
    path: list[str] = []
    one_value = False
    for part in found["loc"]:
        if part in _PLAIN and not isinstance(content, dict):  # one of several kinds that it might be of
            one_value = True
            continue
        content = content.get(part) if isinstance(content, dict) else content
        if isinstance(part, int) and isinstance(content, list) and part < len(content):
            content = content[part]
            part = content.get("name", part) if isinstance(content, dict) else part
        if not str(part).startswith(("literal[", "list[", "dict[")):
            path.append(str(part))
    place = ".".join(path)
    if found["type"] == "extra_forbidden":
        known = _keys(_inside(model, path[:-1]))
        like = nearest(path[-1], known)
        hint = f"is {like!r} meant?" if like else f"use one of {', '.join(known)}."
        return place, f"{place}: there is no such key. Fix: {hint}"
    if found["type"] == "missing":
        return place, f"{place} is missing. Fix: add it; see {see}."
    shapes = {
        "model_type": f"keys below it, of {', '.join(_keys(_inside(model, path)))}",
        "dict_type": "lines of `name: value` below it",
        "list_type": "a list, such as [a, b]",
    }
    if shape := shapes.get(found["type"]):
        return place, f"{place} is {shown(found['input'])}. Fix: write {shape}; see {see}."
    if found["type"] == "invalid_key":
        place = "a key"
    said = "it must be one value" if one_value else in_words(found["msg"])
    return place, f"{place} is {shown(found['input'])}; {said}. Fix: correct it; see {see}."


def shown(value: Any) -> str:
    """Return a value as a sentence shows it.

    Example:
        >>> shown(None), shown("a")
        ('empty', "'a'")
    """
    return "empty" if value is None else repr(value)


def in_words(message: str) -> str:
    """Return what pydantic says of a value, as the rest of a sentence.

    Example:
        >>> in_words("Input should be less than 1")
        'it should be less than 1'
    """
    said = re.sub("^(Input|String) should", "it should", message.removeprefix("Value error, "))
    said = said.replace(" after validation", "")
    return re.sub(
        "should match pattern.*", "should be written in another way", f"{said[0].lower()}{said[1:]}"
    )


def _keys(model: type[BaseModel]) -> Iterable[str]:
    return [info.alias or name for name, info in model.model_fields.items()]


def _inside(model: type[BaseModel], path: Iterable[str]) -> type[BaseModel]:
    """The model that holds what a path names."""

    def models(kind: Any) -> Iterable[type[BaseModel]]:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield kind
        for inner in typing.get_args(kind):
            yield from models(inner)

    for part in path:
        if part in model.model_fields:
            model = next(iter(models(model.model_fields[part].annotation)), model)
    return model
