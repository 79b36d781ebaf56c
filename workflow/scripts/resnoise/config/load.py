"""The configuration: defaults, checks, and the specifications that follow from it.

``config/schema.yaml`` holds types, ranges, defaults and explanations; here are the rules that a
schema cannot express, and error messages that say what to write instead. The rules import this
module at each start of the workflow, so it must stay quick: no torch, no numpy.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from resnoise.config.messages import allowed_by, describe, show, unknown_key
from resnoise.config.rules import broken_rules
from resnoise.config.schema import (
    DEFAULT_PATH,
    SCHEMA_PATH,
    allowed_types,
    dotted,
    is_list_of_sections,
    join,
    read_schema,
    validator,
)
from resnoise.errors import ResnoiseError
from resnoise.storage.files import write_text

# The configuration of a results folder, in that folder.
SAVED = "configuration.yaml"

_SAVED_HEAD = """# The configuration that the workflow was last started with for this folder,
# with all defaults. Written for readers: the workflow does not read it.
"""

# What YAML might read as a number, a truth value or null when it is not quoted.
_SCALAR_TEXT = re.compile(r"[-+.\w~]{1,40}")


def load(raw: Mapping[str, Any], schema_path: Path = SCHEMA_PATH) -> dict[str, Any]:
    """Return ``raw`` checked and completed with the schema's defaults; ``raw`` stays as it is.

    Equal configurations come out equal: numbers that may be fractions are floats, paths have no
    trailing slash, checksums are in lower case.

    Args:
        raw: the configuration as YAML or Snakemake gives it.
        schema_path: the schema.

    Raises:
        ResnoiseError: the configuration has mistakes; the message lists all of them, one a line.
    """
    schema = read_schema(schema_path)
    problems: dict[str, str] = {}
    config = _complete(schema, raw, {}, "", schema, problems)
    for error in validator(schema_path).iter_errors(config):
        key = dotted(error.absolute_path)
        problems.setdefault(key, f"{key}: {describe(error.schema, error.instance)}")
    for key, problem in broken_rules(config, problems, raw):
        problems[key] = f"{key}: {problem}"
    if problems:
        raise ResnoiseError("\n".join(problems.values()))
    canonical: dict[str, Any] = _canonical(schema, config)
    data = canonical["data"]
    canonical["results"] = str(Path(canonical["results"]))
    canonical["downloads"] = str(Path(canonical["downloads"]))
    data["path"] = data["path"] and str(Path(data["path"]))
    data["sha256"] = data["sha256"] and data["sha256"].lower()
    return canonical


def read(files: Iterable[Path]) -> dict[str, Any]:
    """Return configuration files merged key by key, later ones winning, as Snakemake merges them.

    Args:
        files: YAML files; ``config/config.yaml`` goes before all of them.

    Raises:
        ResnoiseError: a file is missing or is not YAML with keys and values.
    """
    merged: dict[str, Any] = {}
    for file in (DEFAULT_PATH, *files):
        try:
            found = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise ResnoiseError(f"{file}: not readable as a configuration ({error})") from error
        if not isinstance(found, dict):
            raise ResnoiseError(f"{file}: {show(found)} given, allowed: keys and their values")
        merged = _merge(merged, found)
    return merged


def _merge(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``old`` with the keys of ``new``, sections merged."""
    both = {
        key: _merge(old[key], value)
        for key, value in new.items()
        if isinstance(value, Mapping) and isinstance(old.get(key), Mapping)
    }
    return {**old, **new, **both}


def save(config: Mapping[str, Any]) -> None:
    """Write a loaded configuration to ``configuration.yaml`` in its results folder, for readers."""
    text = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
    write_text(Path(config["results"]) / SAVED, f"{_SAVED_HEAD}{text}")


def _complete(
    schema: Mapping[str, Any],
    section: object,
    overrides: Mapping[str, Any],
    location: str,
    root: Mapping[str, Any],
    problems: dict[str, str],
) -> dict[str, Any]:
    """Return a section with the keys of its schema, all of them and no others.

    Args:
        schema: schema of the section.
        section: what the user gave.
        overrides: defaults that go before those of the keys.
        location: dotted name of the section, empty for the whole.
        root: schema of the whole configuration.
        problems: gets unknown keys and sections that are none.
    """
    properties = schema["properties"]
    if not isinstance(section, Mapping):
        problems[location] = (
            f"{location or 'the configuration'}: {show(section)} given, allowed: a section with "
            f"the keys {', '.join(properties)} (leave it out to take the defaults)"
        )
        section = {}
    for name in section:
        if name not in properties:
            problems[join(location, repr(name))] = unknown_key(name, location, properties, root)
    result: dict[str, Any] = {}
    for name, child in properties.items():
        if "properties" in child:
            below = section.get(name, {})
            key = join(location, name)
            result[name] = _complete(child, below, child["default"], key, root, problems)
        elif name in section and is_list_of_sections(child) and isinstance(section[name], list):
            key = join(location, name)
            result[name] = [
                _complete(child["items"], item, {}, f"{key}[{index}]", root, problems)
                for index, item in enumerate(section[name])
            ]
        elif name in section:
            result[name] = _read(child, section[name])
        elif name in overrides or "default" in child:
            result[name] = overrides.get(name, child.get("default"))
        else:
            result[name] = None
            key = join(location, name)
            problems[key] = f"{key}: missing, needed: {allowed_by(child)}"
    return result


def _read(schema: Mapping[str, Any], value: Any) -> Any:
    """Return ``value``, texts replaced by what they mean in YAML where the schema wants no text.

    Snakemake hands over what is inside the braces of ``--config training='{...}'`` as text.
    """
    types = allowed_types(schema)
    if isinstance(value, list | tuple) and "array" in types:
        return [_read(schema["items"], item) for item in value]
    if isinstance(value, str) and _SCALAR_TEXT.fullmatch(value):
        try:
            meaning = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError):
            return value
        if meaning is None and "null" in types:
            return None
        if isinstance(meaning, bool | int | float) and not {"string", "array"} & set(types):
            return meaning
    return value


def _canonical(schema: Mapping[str, Any], value: Any) -> Any:
    """Return a copy of a valid value in which numbers that may be fractions are floats."""
    if "properties" in schema:
        return {
            name: _canonical(child, value[name]) for name, child in schema["properties"].items()
        }
    if "array" in allowed_types(schema) and value is not None:
        return [_canonical(schema["items"], item) for item in value]
    return float(value) if schema["type"] == "number" else value
