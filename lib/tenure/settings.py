"""YAML files that people write: read strictly, and what is wrong with them said in one sentence."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from tenure.errors import InputError

Model = TypeVar("Model", bound=BaseModel)


class Loader(yaml.SafeLoader):
    """YAML in which no key comes twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping's keys and values."""
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.YAMLError(f"line {key.start_mark.line + 1} repeats the key {key.value!r}")
            seen.add(getattr(key, "value", None) if isinstance(key, yaml.ScalarNode) else None)
        return super().construct_mapping(node, deep)


def read_settings(file: Path, model: type[Model]) -> Model:
    """Read a YAML file into a model.

    Raises:
        InputError: It is not YAML, has a key twice or one that is unknown, or a value is not as it should be.
    """
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), Loader)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        said = " ".join(str(error).split())[:200]
        says = f"line {mark.line + 1}: {getattr(error, 'problem', '')}" if mark else said
        raise InputError(f"{file.name} is not YAML: {says}. Fix: correct that line of {file}.") from None
    if content is not None and not isinstance(content, dict):
        raise InputError(f"{file.name} holds no keys. Fix: write lines such as `key: value` into {file}.")
    try:
        return model.model_validate(content or {})
    except ValidationError as error:
        raise InputError(f"{file.name}: {_first_problem(error, model)}") from None


def _first_problem(error: ValidationError, model: type[BaseModel]) -> str:
    found = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    place = ".".join(str(part) for part in found["loc"])
    if found["type"] == "extra_forbidden":
        near = get_close_matches(place, model.model_fields, n=1)
        fix = f"is {near[0]!r} meant" if near else f"use one of {', '.join(model.model_fields)}"
        return f"there is no key {place!r}. Fix: {fix}{'?' if near else '.'}"
    said = found["msg"].removeprefix("Value error, ")
    return f"{place} is {found['input']!r}; {said[0].lower()}{said[1:]}. Fix: correct {place}."
