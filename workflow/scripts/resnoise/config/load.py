"""Load a configuration: read it, check it and complete it with defaults.

``config/schema.yaml`` holds types, ranges, defaults and explanations. ``config.rules`` adds checks
that a schema cannot express, ``config.messages`` error messages that say what to write instead. The
rules import this module whenever the workflow starts, so it must stay quick: no torch, no numpy.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from resnoise import registry
from resnoise.config import yamlfile
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
from resnoise.secrets import masked
from resnoise.storage.files import write_text

# Name of the file in a results folder that holds its configuration.
SAVED = "configuration.yaml"

_SAVED_HEAD = """# The configuration that the workflow was last started with for this folder,
# with all defaults. For your information: the workflow does not read it.
"""

# Text that YAML might read as a number, true, false or null unless it is quoted.
_SCALAR_TEXT = re.compile(r"[-+.\w~]{1,40}")


def load(raw: Mapping[str, Any], schema_path: Path = SCHEMA_PATH) -> dict[str, Any]:
    """Check a configuration and return a copy that is completed with the schema's defaults.

    The copy is in canonical form, so that configurations that mean the same are equal: numbers that
    may be fractions are floats, paths have no trailing slash, checksums are in lower case, epochs
    of snapshots in order.

    Args:
        raw: the configuration as read by YAML or Snakemake.
        schema_path: the schema.

    Raises:
        ResnoiseError: the configuration has mistakes; the message lists all, one per line.
    """
    schema = read_schema(schema_path)
    if wrong := registry.mistakes(schema["properties"]["training"]["properties"]):
        raise ResnoiseError("\n".join(wrong))
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
    for recipe in canonical["training"].values():
        recipe["snapshot_epochs"].sort()
    return canonical


def read(files: Iterable[Path]) -> dict[str, Any]:
    """Read configuration files and merge them key by key, as Snakemake does.

    Args:
        files: YAML files. Later ones replace keys of earlier ones, and all replace keys of
            ``config/config.yaml``, which is read first.

    Raises:
        ResnoiseError: a file is missing, is not YAML with keys and values, or is misleading (see
            ``resnoise.config.yamlfile``).
    """
    merged: dict[str, Any] = {}
    for file in (DEFAULT_PATH, *files):
        merged = _merge(merged, yamlfile.read(file, "a configuration"))
    return merged


def _merge(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``old`` updated with the keys of ``new``; sections in both are merged likewise."""
    both = {
        key: _merge(old[key], value)
        for key, value in new.items()
        if isinstance(value, Mapping) and isinstance(old.get(key), Mapping)
    }
    return {**old, **new, **both}


def save(config: Mapping[str, Any]) -> None:
    """Write a loaded configuration to its results folder as ``configuration.yaml``.

    Credentials in addresses are left out, because results travel.
    """
    text = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
    write_text(Path(config["results"]) / SAVED, f"{_SAVED_HEAD}{masked(text)}")


def _complete(
    schema: Mapping[str, Any],
    section: object,
    overrides: Mapping[str, Any],
    location: str,
    root: Mapping[str, Any],
    problems: dict[str, str],
) -> dict[str, Any]:
    """Return a section with exactly the keys of its schema; missing ones get their defaults.

    Args:
        schema: schema of the section.
        section: the section as the user gave it.
        overrides: defaults that take precedence over those in ``schema``.
        location: dotted name of the section, empty for the whole configuration.
        root: schema of the whole configuration.
        problems: dotted key -> message; problems found here are added to it: unknown keys, missing
            keys without default, and other values where a section belongs.
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
    """Return ``value`` with texts read as YAML where the schema allows no text.

    This is needed because Snakemake passes on the values inside the braces of
    ``--config training='{...}'`` as text.
    """
    types = allowed_types(schema)
    if isinstance(value, list | tuple) and "array" in types:
        return [_read(schema["items"], item) for item in value]
    if isinstance(value, str) and _SCALAR_TEXT.fullmatch(value):
        try:
            meaning = yamlfile.parse(value)
        except (yaml.YAMLError, ValueError):
            return value
        if meaning is None and "null" in types:
            return None
        if isinstance(meaning, bool | int | float) and not {"string", "array"} & set(types):
            return meaning
    return value


def _canonical(schema: Mapping[str, Any], value: Any) -> Any:
    """Return a copy of a valid value in canonical form.

    Numbers that may be fractions become floats, and initialisations their specifications.
    """
    if schema.get("names") == "INITIALISATIONS":
        return registry.initialisation_text(value)
    if "properties" in schema:
        return {
            name: _canonical(child, value[name]) for name, child in schema["properties"].items()
        }
    if "array" in allowed_types(schema) and value is not None:
        return [_canonical(schema["items"], item) for item in value]
    return float(value) if schema["type"] == "number" else value
