"""The configuration: defaults, checks, and the specifications that follow from it.

``config/schema.yaml`` holds types, ranges, defaults and explanations; here are the rules that a
schema cannot express, and error messages that say what to write instead. The rules import this
module at each start of the workflow, so it must stay quick: no torch, no numpy.
"""

import dataclasses
import difflib
import functools
import json
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import jsonschema
import yaml

from resnoise import grid, registry
from resnoise.errors import ResnoiseError
from resnoise.files import write_text
from resnoise.metrics.specs import GradientFlowSpec
from resnoise.specs import DataSpec, NetworkSpec, RecipeSpec, RunSpec, Spec

AnySpec = TypeVar("AnySpec", bound=Spec)

_ROOT = Path(__file__).resolve().parents[3]
DEFAULT_PATH = _ROOT / "config" / "config.yaml"
SCHEMA_PATH = _ROOT / "config" / "schema.yaml"

# The configuration of a results folder, in that folder.
SAVED = "configuration.yaml"
_SAVED_HEAD = """# The configuration that the workflow was last started with for this folder,
# with all defaults. Written for readers: the workflow does not read it.
"""

# Outputs here would be mixed with the code, and cleaning them up would delete it.
_CODE_FOLDERS = (
    ".git",
    ".snakemake",
    "config",
    "envs",
    "profiles",
    "rules",
    "slurm",
    "tests",
    "workflow",
)

_LARGEST_INTEGER = 2**53

# File systems take so many bytes for a name; Snakemake and the library append to it.
_LONGEST_NAME = 200

# What YAML might read as a number, a truth value or null when it is not quoted.
_SCALAR_TEXT = re.compile(r"[-+.\w~]{1,40}")
# Numbers that YAML takes for text, because it wants a point and a signed exponent.
_POINTLESS_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")


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
    schema = _schema(schema_path)
    problems: dict[str, str] = {}
    config = _complete(schema, raw, {}, "", schema, problems)
    for error in _validator(schema_path).iter_errors(config):
        key = _dotted(error.absolute_path)
        problems.setdefault(key, f"{key}: {_describe(error.schema, error.instance)}")
    for key, problem in _rules(config, problems, raw):
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
            raise ResnoiseError(f"{file}: {_show(found)} given, allowed: keys and their values")
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


def data_spec(config: Mapping[str, Any]) -> DataSpec:
    """Return what a loaded configuration says about the pictures."""
    return section_spec(config["data"], DataSpec)


def section_spec(section: Mapping[str, Any], kind: type[AnySpec]) -> AnySpec:
    """Return the specification whose fields are among the keys of a section."""
    fields = [field.name for field in dataclasses.fields(kind)]
    return kind.from_dict({name: section[name] for name in fields})


def recipe_spec(config: Mapping[str, Any], architecture: str) -> RecipeSpec:
    """Return how a loaded configuration trains an architecture.

    Raises:
        ResnoiseError: there is no such architecture.
    """
    return RecipeSpec.from_dict(config["training"][registry.architecture(architecture).family])


def run_spec(
    config: Mapping[str, Any], architecture: str, depth: int, initialisation: str, seed: int
) -> RunSpec:
    """Return one training run under a loaded configuration.

    Raises:
        ResnoiseError: there is no such architecture.
    """
    recipe = recipe_spec(config, architecture)
    if grid.Run(architecture, depth, initialisation, seed) in grid.gradient_flow_runs(config):
        measured = gradient_flow_spec(config, architecture).epochs
        epochs = sorted({*recipe.snapshot_epochs, *measured})
        recipe = dataclasses.replace(recipe, snapshot_epochs=tuple(epochs))
    return RunSpec(
        network=NetworkSpec(architecture, depth, config["networks"]["width"]),
        initialisation=initialisation,
        seed=seed,
        recipe=recipe,
    )


def twin_spec(config: Mapping[str, Any], depth: int, seed: int) -> RunSpec:
    """Return the residual one of two twins under a loaded configuration."""
    spec = run_spec(config, "residual", depth, "hmwi", seed)
    recipe = dataclasses.replace(
        spec.recipe,
        precision=config["twins"]["precision"],
        # Not those that the gradient flow of the single run needs.
        snapshot_epochs=recipe_spec(config, "residual").snapshot_epochs,
    )
    return dataclasses.replace(spec, recipe=recipe)


def gradient_flow_spec(config: Mapping[str, Any], architecture: str) -> GradientFlowSpec:
    """Return what of an architecture's gradient flow a loaded configuration measures.

    Raises:
        ResnoiseError: there is no such architecture.
    """
    section = config["gradient_flow"]
    last = recipe_spec(config, architecture).epochs
    return GradientFlowSpec(
        samples=section["samples"],
        sample_seed=section["sample_seed"],
        precision=section["precision"],
        epochs=tuple(sorted(epoch for epoch in section["epochs"] if epoch < last)),
    )


def leaves(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return dotted key -> value of a configuration or a part of it; lists are values."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{key}": below for key, below in leaves(value).items()}
        else:
            found[name] = value
    return found


def save(config: Mapping[str, Any]) -> None:
    """Write a loaded configuration to ``configuration.yaml`` in its results folder, for readers."""
    text = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
    write_text(Path(config["results"]) / SAVED, f"{_SAVED_HEAD}{text}")


def reference(path: Path) -> Iterator[tuple[str, str, str | None, str]]:
    """Yield key, what it may be, default (JSON, None: must be given) and description of all keys.

    Keys are dotted, those of the items of a list as in ``external[].name``. A section comes before
    its keys, with nothing that it may be.
    """
    return _reference(_schema(path), {}, "")


def _reference(
    schema: Mapping[str, Any], overrides: Mapping[str, Any], location: str
) -> Iterator[tuple[str, str, str | None, str]]:
    """Yield what ``reference`` does for the keys of a section."""
    for name, child in schema["properties"].items():
        key = _join(location, name)
        description = child.get("description", "")
        if "properties" in child:
            yield key, "", None, description
            yield from _reference(child, child["default"], key)
            continue
        has_default = name in overrides or "default" in child
        default = json.dumps(overrides.get(name, child.get("default"))) if has_default else None
        yield key, _described(child), default, description
        if _is_list_of_sections(child):
            yield from _reference(child["items"], {}, f"{key}[]")


def _described(schema: Mapping[str, Any]) -> str:
    """Return what ``_allowed`` does, without the names of a registry, to which users add."""
    if "registry" in schema:
        return f"a name of {schema['registry']} in workflow/scripts/resnoise/registry.py"
    return _allowed(schema)


@functools.cache
def _schema(path: Path) -> dict[str, Any]:
    """Return the schema with every ``$ref`` replaced by what it refers to and its siblings.

    A key with ``registry`` takes the names of that table of ``resnoise.registry``.
    """
    # The loader in C takes a tenth of the time, but not every PyYAML has it.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    schema = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)
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
def _validator(path: Path) -> Any:
    """Return a validator whose integers and numbers are what users mean by the words."""
    # JSON Schema takes 20.0 for an integer, and Python's JSON has NaN and infinities.
    types = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"integer": lambda _, value: _is_integer(value), "number": lambda _, value: _is_real(value)}
    )
    kind = jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=types)
    return kind(_schema(path))


def _is_integer(value: object) -> bool:
    """Whether ``value`` is an integer that every file format and library can hold."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST_INTEGER


def _is_real(value: object) -> bool:
    """Whether ``value`` is a finite number that fits into a float."""
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) <= sys.float_info.max
    )


def _types(schema: Mapping[str, Any]) -> list[str]:
    """Return the types that a schema allows."""
    types = schema["type"]
    return [types] if isinstance(types, str) else list(types)


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
            f"{location or 'the configuration'}: {_show(section)} given, allowed: a section with "
            f"the keys {', '.join(properties)} (leave it out to take the defaults)"
        )
        section = {}
    for name in section:
        if name not in properties:
            problems[_join(location, repr(name))] = _unknown(name, location, properties, root)
    result: dict[str, Any] = {}
    for name, child in properties.items():
        if "properties" in child:
            below = section.get(name, {})
            key = _join(location, name)
            result[name] = _complete(child, below, child["default"], key, root, problems)
        elif name in section and _is_list_of_sections(child) and isinstance(section[name], list):
            key = _join(location, name)
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
            key = _join(location, name)
            problems[key] = f"{key}: missing, needed: {_allowed(child)}"
    return result


def _is_list_of_sections(schema: Mapping[str, Any]) -> bool:
    return "properties" in schema.get("items", {})


def _read(schema: Mapping[str, Any], value: Any) -> Any:
    """Return ``value``, texts replaced by what they mean in YAML where the schema wants no text.

    Snakemake hands over what is inside the braces of ``--config training='{...}'`` as text.
    """
    types = _types(schema)
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
    if "array" in _types(schema) and value is not None:
        return [_canonical(schema["items"], item) for item in value]
    return float(value) if schema["type"] == "number" else value


def _join(location: str, name: str) -> str:
    return f"{location}.{name}" if location else name


def _dotted(path: Iterable[str | int]) -> str:
    """Return a location as users write it, e.g. ``table1.depths[0]``."""
    text = ""
    for part in path:
        text = f"{text}[{part}]" if isinstance(part, int) else _join(text, part)
    return text


def _show(value: object) -> str:
    """Return a value in one line, not too long."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int) and value.bit_length() > 10_000:
        # Python refuses to write thousands of digits.
        return f"an integer of {value.bit_length()} bits"
    try:
        text = repr(value)
    except ValueError:
        return f"a {type(value).__name__} with a number of thousands of digits"
    return text if len(text) <= 100 else f"{text[:97]}..."


def _unknown(name: object, location: str, here: Iterable[str], root: Mapping[str, Any]) -> str:
    """Return the message for an unknown key, with the keys that may have been meant."""
    wanted = name if isinstance(name, str) else _show(name)
    elsewhere: dict[str, list[str]] = {}
    for section, key in _all_keys(root):
        if section != location:
            known = f"'{section}.{key}'" if section else f"'{key}' at the top level"
            elsewhere.setdefault(key, []).append(known)
    # Keys of the same section share a subject, so a weaker likeness is enough.
    names = [repr(key) for key in difflib.get_close_matches(wanted, here, n=1, cutoff=0.5)]
    names += elsewhere.get(wanted, [])
    section, _, key = wanted.rpartition(".")
    if section and (section, key) in _all_keys(root):
        names = [f"{key!r} in the section {section}"]
    if not names:
        for match in difflib.get_close_matches(wanted, elsewhere, n=1):
            names += elsewhere[match]
    place = f"in {location}" if location else "at the top level"
    hint = f"did you mean {' or '.join(names)}?" if names else f"allowed: {', '.join(here)}"
    return f"unknown key {_show(name)} {place}; {hint}"


def _all_keys(schema: Mapping[str, Any], location: str = "") -> Iterator[tuple[str, str]]:
    """Yield the section and the name of every key."""
    for name, child in schema["properties"].items():
        yield location, name
        if "properties" in child:
            yield from _all_keys(child, _join(location, name))
        elif _is_list_of_sections(child):
            yield from _all_keys(child["items"], f"{_join(location, name)}[...]")


def _describe(schema: Mapping[str, Any], value: Any) -> str:
    """Return the value given, what its schema allows, and what was probably meant."""
    return f"{_show(value)} given, allowed: {_allowed(schema)}{_advice(schema, value)}"


def _allowed(schema: Mapping[str, Any]) -> str:
    """Return in words what a schema allows."""
    if "title" in schema:
        return str(schema["title"])
    if "enum" in schema:
        return f"one of {', '.join(schema['enum'])}"
    kind = next(name for name in _types(schema) if name != "null")
    if kind == "boolean":
        return "true or false"
    if kind == "array":
        filled = "a non-empty list" if schema.get("minItems") else "a list"
        unique = " without repetitions" if schema.get("uniqueItems") else ""
        if _is_list_of_sections(schema):
            keys = ", ".join(schema["items"]["properties"])
            return f"{filled} of sections, each with the keys {keys}"
        return f"{filled}{unique}, each item {_allowed(schema['items'])}"
    signs = (
        ("minimum", ">="),
        ("exclusiveMinimum", ">"),
        ("maximum", "<="),
        ("exclusiveMaximum", "<"),
    )
    bounds = [f"{sign} {schema[word]}" for word, sign in signs if word in schema]
    noun = "an integer" if kind == "integer" else "a number"
    text = " ".join([noun, " and ".join(bounds)])
    return f"{text}, or null" if "null" in _types(schema) else text


def _advice(schema: Mapping[str, Any], value: Any) -> str:
    """Return, in brackets, what to write instead of values that YAML reads unexpectedly."""
    types = _types(schema)
    whole = isinstance(value, int) and not isinstance(value, bool)
    if "integer" in types and whole and abs(value) > _LARGEST_INTEGER:
        return f" (at most {schema.get('maximum', _LARGEST_INTEGER)})"
    if value is None and "default" in schema:
        return " (leave the key out to take its default)"
    if "array" in types and not isinstance(value, list) and schema.get("default"):
        return f" (for example {json.dumps(schema['default'])})"
    if "integer" in types and isinstance(value, float) and value.is_integer():
        return f" (write {int(value)})"
    if "string" in types and _is_real(value) and "enum" not in schema:
        return " (put it in quotes)"
    if "number" in types and isinstance(value, str) and _POINTLESS_NUMBER.fullmatch(value):
        mantissa, exponent = value.lower().split("e")
        mantissa = mantissa if "." in mantissa else f"{mantissa}.0"
        exponent = exponent if exponent[0] in "+-" else f"+{exponent}"
        return f" (YAML reads {value} as text; write {mantissa}e{exponent})"
    return ""


def _rules(
    config: dict[str, Any], problems: Mapping[str, str], raw: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """Yield key and problem for everything that involves more than a schema can say.

    Args:
        config: the completed configuration, whose values may still be of wrong types.
        problems: what has been found so far, by key.
        raw: the configuration as it was given.
    """
    for key in ("results", "downloads"):
        if key not in problems:
            yield from _folder_rules(key, config[key])
    if "data.source" not in problems:
        yield from _data_rules(config["data"])
        yield from _size_rules(config, raw, problems)
        if "results" not in problems:
            yield from _place_rules(config)
    yield from _external_rules(config["external"], problems)
    for index, runs in enumerate(config["runs"] if isinstance(config["runs"], list) else []):
        yield from _depth_rules(f"runs[{index}]", runs)
    for family, recipe in config["training"].items():
        yield from _recipe_rules(f"training.{family}", recipe)
    sizes = config["noise_stability"]["sizes"]
    yield from _order_rules("noise_stability.sizes", sizes, "norms of the noise")
    for name, section in config.items():
        if isinstance(section, Mapping):
            yield from _depth_rules(name, section)


def _size_rules(
    config: Mapping[str, Any], raw: Mapping[str, Any], problems: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield a problem for every number of pictures that is larger than the data set.

    Defaults are let pass, written out or not, because sections whose results nobody asks for have
    some too; but the tables need the recipe of the simplified networks in any case.
    """
    data = config["data"]
    source = registry.source(data["source"])
    if source.per_class is None or source.pictures is None:
        return
    train, test = source.per_class
    pictures = source.pictures
    for part, largest in (("train", train), ("test", test)):
        wanted = data[f"{part}_per_class"]
        if _is_integer(wanted) and wanted > largest:
            yield (
                f"data.{part}_per_class",
                f"{_show(wanted)} given, allowed: an integer >= 1 and <= {largest}, which are the "
                f"{part} pictures of a class of the source {data['source']}, or null for all",
            )
    if _is_integer(data["train_per_class"]):
        if not 1 <= data["train_per_class"] <= train:
            return
        pictures = 10 * data["train_per_class"]
    wanted_by = {
        f"training.{family}.batch_size": recipe["batch_size"]
        for family, recipe in config["training"].items()
        if _is_chosen(raw, recipe["batch_size"], "training", family, "batch_size")
        or (family == "simplified" and not {"training", f"training.{family}"} & {*problems})
    }
    for name, section in config.items():
        samples = section.get("samples") if isinstance(section, Mapping) else None
        if _is_chosen(raw, samples, name, "samples"):
            wanted_by[f"{name}.samples"] = samples
    for key, wanted in wanted_by.items():
        if _is_integer(wanted) and wanted > pictures:
            yield (
                key,
                f"{_show(wanted)} given, allowed: an integer <= {pictures}, the number of training "
                f"pictures that the section data leads to",
            )


def _is_chosen(raw: object, value: object, *path: str) -> bool:
    """Whether ``raw`` itself has a key, and with a ``value`` that is not its default."""
    for part in path:
        if not isinstance(raw, Mapping) or part not in raw:
            return False
        raw = raw[part]
    return value != _defaults().get(".".join(path))


@functools.cache
def _defaults() -> dict[str, Any]:
    """Return dotted key -> default of all keys."""
    return leaves(load({}))


def _place_rules(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield a problem if results would be put among the pictures, or pictures among the results."""
    path = config["data"]["path"]
    if not registry.source(config["data"]["source"]).is_local or not isinstance(path, str):
        return
    results, pictures = (
        Path(os.path.normpath(Path.cwd() / place)) for place in (config["results"], path)
    )
    if stat.S_ISDIR(_mode(path)) and results.is_relative_to(pictures):
        yield (
            "results",
            f"{_show(config['results'])} given, allowed: a folder outside of data.path, which is "
            f"{_show(path)}",
        )
    elif _mode(path) and pictures.is_relative_to(results):
        yield (
            "data.path",
            f"{_show(path)} given, allowed: a place outside of the results folder "
            f"{_show(config['results'])}, which may be deleted and made again",
        )


def _depth_rules(section: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield a problem for every depth of a section that no network can have."""
    depths = values.get("depths", [])
    places = {f"{section}.depth": values["depth"]} if "depth" in values else {}
    if isinstance(depths, list):
        places |= {f"{section}.depths[{index}]": depth for index, depth in enumerate(depths)}
    for key, depth in places.items():
        if _is_integer(depth) and (depth < 8 or depth % 6 != 2):
            lower = max(8, depth - (depth - 2) % 6)
            yield (
                key,
                f"{_show(depth)} given, allowed: an integer 6n + 2 with n >= 1, the nearest are "
                f"{lower} and {lower + 6}",
            )
    for name, below in values.items():
        if isinstance(below, Mapping):
            yield from _depth_rules(f"{section}.{name}", below)


def _external_rules(networks: Any, problems: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield problems of names, files and normalisations of external networks."""
    seen: set[str] = set()
    for index, network in enumerate(networks if isinstance(networks, list) else []):
        key = f"external[{index}]"
        name, path, mean, std = (network[field] for field in ("name", "path", "mean", "std"))
        if isinstance(name, str):
            # Some file systems take names that differ in case for the same.
            if name.casefold() in seen:
                yield (
                    f"{key}.name",
                    f"{_show(name)} given, allowed: a name that no other network of external has",
                )
            seen.add(name.casefold())
        allowed = _plain_path(path)
        if allowed is None and isinstance(path, str) and not stat.S_ISREG(_mode(path)):
            allowed = f"a file that exists (seen from {Path.cwd()}; ~ is not expanded)"
        if allowed:
            yield f"{key}.path", f"{_show(path)} given, allowed: {allowed}"
        if network["naming"] == "torchvision" and network["residual"] is False:
            yield (
                f"{key}.residual",
                "false given, allowed: true, because the networks of torchvision have shortcuts",
            )
        known = any(problem.startswith((f"{key}.mean", f"{key}.std")) for problem in problems)
        if (mean is None) != (std is None) and not known:
            yield (
                f"{key}.std",
                f"{_show(std)} given, allowed: a list if mean is one, and null if mean is null",
            )


def _folder_rules(key: str, value: str) -> Iterator[tuple[str, str]]:
    """Yield a problem if there can be no folder ``value``, or it would mix outputs and code."""
    if any(len(os.fsencode(part)) > _LONGEST_NAME for part in Path(value).parts):
        yield (
            key,
            f"{_show(value)} given, allowed: folders with names of at most {_LONGEST_NAME} bytes",
        )
        return
    if (mode := _mode(value)) and not stat.S_ISDIR(mode):
        yield key, f"{_show(value)} given, allowed: a folder, and this is a file"
    for base in {_ROOT, Path.cwd()}:
        # normpath looks at the text only: resolving would fail on odd names and symbolic links.
        folder = Path(os.path.normpath(Path.cwd() / value))
        taken = [base / name for name in _CODE_FOLDERS]
        if base.is_relative_to(folder) or any(folder.is_relative_to(code) for code in taken):
            yield (
                key,
                f"{_show(value)} given, allowed: a folder of its own, which neither contains the "
                f"code or the working directory nor is one of {', '.join(_CODE_FOLDERS)}",
            )


def _data_rules(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield problems of path and checksum, which depend on the source."""
    source, path = data["source"], data["path"]
    entry = registry.source(source)
    mode = _mode(path) if isinstance(path, str) else 0
    allowed = _plain_path(path)
    if allowed:
        pass
    elif not entry.is_local:
        if isinstance(path, str):
            allowed = f"null, because the source {source} reads no local file"
    elif path is None:
        allowed = f"a {entry.path}, which the source {source} needs"
    elif isinstance(path, str) and not mode:
        allowed = f"a {entry.path} that exists (seen from {Path.cwd()}; ~ is not expanded)"
    elif entry.path == "file" and stat.S_ISDIR(mode):
        allowed = "a file, and this is a folder (for a folder of pictures, set source to pictures)"
    if allowed:
        yield "data.path", f"{_show(path)} given, allowed: {allowed}"
    if not entry.path and isinstance(data["sha256"], str):
        yield (
            "data.sha256",
            f"{_show(data['sha256'])} given, allowed: null, because the source {source} has no "
            "file",
        )


def _plain_path(path: object) -> str | None:
    """Return what is allowed if a path has characters that Snakemake reads as wildcards."""
    if isinstance(path, str) and set(path) & set("{}<>"):
        return "a path without the characters { } < >"
    return None


def _mode(path: str) -> int:
    """Return the type bits of the file or folder called ``path``, 0 if there is none."""
    try:
        return Path(path).stat().st_mode
    except (OSError, ValueError):
        return 0


def _order_rules(key: str, values: Any, what: str) -> Iterator[tuple[str, str]]:
    """Yield a problem if a list of numbers does not increase."""
    if isinstance(values, list) and all(map(_is_real, values)) and sorted(set(values)) != values:
        yield key, f"{_show(values)} given, allowed: {what} in increasing order"


def _recipe_rules(section: str, recipe: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield problems between the values of one training recipe."""
    yield from _order_rules(
        f"{section}.milestones", recipe["milestones"], "fractions of the epochs"
    )
    epochs, snapshots = recipe["epochs"], recipe["snapshot_epochs"]
    if not (_is_integer(epochs) and epochs >= 1 and isinstance(snapshots, list)):
        return
    for index, epoch in enumerate(snapshots):
        if _is_integer(epoch) and epoch > epochs:
            yield (
                f"{section}.snapshot_epochs[{index}]",
                f"{_show(epoch)} given, allowed: an integer >= 1 and <= {epochs}, the value of "
                f"{section}.epochs",
            )
