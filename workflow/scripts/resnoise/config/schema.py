"""The schema of the configuration (config/schema.yaml): reading it, its types and its defaults.

This package must stay quick to import, because the rules import it whenever the workflow starts.
"""

import functools
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jsonschema

from resnoise import registry
from resnoise.storage import yamldata

ROOT = Path(__file__).resolve().parents[4]

DEFAULT_PATH = ROOT / "config" / "config.yaml"

SCHEMA_PATH = ROOT / "config" / "schema.yaml"

LARGEST_INTEGER = 2**53


def leaves(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return dotted key -> value of a configuration or a section; a list counts as one value."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{key}": below for key, below in leaves(value).items()}
        else:
            found[name] = value
    return found


def defaults(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return dotted key -> default for all keys that have one; see ``read_schema``."""
    return _defaults(schema, {}, "")


def _defaults(
    schema: Mapping[str, Any], overrides: Mapping[str, Any], location: str
) -> dict[str, Any]:
    """Return the defaults of a section; ``overrides`` take precedence over those of its keys."""
    found: dict[str, Any] = {}
    for name, child in schema["properties"].items():
        key = join(location, name)
        if "properties" in child:
            found |= _defaults(child, child["default"], key)
        elif name in overrides or "default" in child:
            found[key] = overrides.get(name, child.get("default"))
    return found


@functools.cache
def read_schema(path: Path) -> dict[str, Any]:
    """Read the schema and resolve references.

    Every ``$ref`` is replaced by the definition that it refers to, updated with the keys beside the
    ``$ref``. A key with ``registry`` allows the names in that table of ``resnoise.registry``.
    """
    schema = yamldata.read(path)
    definitions = schema.pop("$defs", {})

    def resolve(node: Any) -> Any:
        if not isinstance(node, dict):
            return node
        siblings = {name: resolve(child) for name, child in node.items() if name != "$ref"}
        if "registry" in siblings:
            siblings["enum"] = list(getattr(registry, siblings["registry"]))
        if "$ref" in node:
            return resolve(definitions[node["$ref"].removeprefix("#/$defs/")]) | siblings
        return siblings

    resolved: dict[str, Any] = resolve(schema)
    return resolved


@functools.cache
def validator(path: Path) -> Any:
    """Return a JSON Schema validator with stricter types: ``is_integer`` and ``is_real``."""
    # JSON Schema accepts 20.0 as an integer, and this library NaN and infinities as numbers.
    types = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"integer": lambda _, value: is_integer(value), "number": lambda _, value: is_real(value)}
    )
    kind = jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=types)
    return kind(read_schema(path))


def is_integer(value: object) -> bool:
    """Whether ``value`` is an integer that every file format and library can hold."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST_INTEGER


def is_real(value: object) -> bool:
    """Whether ``value`` is a finite number that fits into a float."""
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) <= sys.float_info.max
    )


def allowed_types(schema: Mapping[str, Any]) -> list[str]:
    """Return the types that a schema allows."""
    types = schema["type"]
    return [types] if isinstance(types, str) else list(types)


def is_list_of_sections(schema: Mapping[str, Any]) -> bool:
    """Whether a key is a list whose items are sections, such as ``external``."""
    return "properties" in schema.get("items", {})


def join(location: str, name: str) -> str:
    """Return the dotted name of a key in the section ``location``, empty for the top level."""
    return f"{location}.{name}" if location else name


def dotted(path: Iterable[str | int]) -> str:
    """Return a path into the configuration as dotted text, such as ``table1.depths[0]``."""
    text = ""
    for part in path:
        text = f"{text}[{part}]" if isinstance(part, int) else join(text, part)
    return text
