"""Error messages about the configuration: the value, what is allowed, what was probably meant."""

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from resnoise.config.schema import (
    LARGEST_INTEGER,
    allowed_types,
    is_list_of_sections,
    is_real,
    join,
)
from resnoise.secrets import masked

# Numbers such as 1e-3, which YAML reads as text: it requires a point and a sign, as in 1.0e-3.
_POINTLESS_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")


def show(value: object) -> str:
    """Return a value as one line of at most 100 characters."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int) and value.bit_length() > 10_000:
        # Python refuses to convert integers of thousands of digits to text.
        return f"an integer of {value.bit_length()} bits"
    try:
        text = repr(value)
    except ValueError:
        return f"a {type(value).__name__} with a number of thousands of digits"
    text = masked(text)
    return text if len(text) <= 100 else f"{text[:97]}..."


def unknown_key(name: object, location: str, here: Iterable[str], root: Mapping[str, Any]) -> str:
    """Return the message for an unknown key, which suggests similar known keys.

    Args:
        name: the unknown key.
        location: dotted name of its section, empty for the top level.
        here: known keys of that section.
        root: schema of the whole configuration.
    """
    wanted = name if isinstance(name, str) else show(name)
    elsewhere: dict[str, list[str]] = {}
    for section, key in _all_keys(root):
        if section != location:
            known = f"'{section}.{key}'" if section else f"'{key}' at the top level"
            elsewhere.setdefault(key, []).append(known)
    # In the same section a key is likely to be meant even if its name is less similar.
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
    return f"unknown key {show(name)} {place}; {hint}"


def _all_keys(schema: Mapping[str, Any], location: str = "") -> Iterator[tuple[str, str]]:
    """Yield the section and the name of every key."""
    for name, child in schema["properties"].items():
        yield location, name
        if "properties" in child:
            yield from _all_keys(child, join(location, name))
        elif is_list_of_sections(child):
            yield from _all_keys(child["items"], f"{join(location, name)}[...]")


def describe(schema: Mapping[str, Any], value: Any) -> str:
    """Return the message for a bad value: the value, what is allowed, what to write instead."""
    return f"{show(value)} given, allowed: {allowed_by(schema)}{_advice(schema, value)}"


def allowed_by(schema: Mapping[str, Any]) -> str:
    """Return what a schema allows, in words."""
    if "title" in schema:
        return str(schema["title"])
    if "enum" in schema:
        return f"one of {', '.join(schema['enum'])}"
    kind = next(name for name in allowed_types(schema) if name != "null")
    if kind == "boolean":
        return "true or false"
    if kind == "array":
        filled = "a non-empty list" if schema.get("minItems") else "a list"
        unique = " without repetitions" if schema.get("uniqueItems") else ""
        if is_list_of_sections(schema):
            keys = ", ".join(schema["items"]["properties"])
            return f"{filled} of sections, each with the keys {keys}"
        return f"{filled}{unique}, each item {allowed_by(schema['items'])}"
    signs = (
        ("minimum", ">="),
        ("exclusiveMinimum", ">"),
        ("maximum", "<="),
        ("exclusiveMaximum", "<"),
    )
    bounds = [f"{sign} {schema[word]}" for word, sign in signs if word in schema]
    noun = "an integer" if kind == "integer" else "a number"
    text = " ".join([noun, " and ".join(bounds)]).strip()
    return f"{text}, or null" if "null" in allowed_types(schema) else text


def depth_problem(depth: int) -> str:
    """Return the message for a depth that no network can have, "" for the others."""
    if depth >= 8 and depth % 6 == 2:
        return ""
    lower = max(8, depth - (depth - 2) % 6)
    return (
        f"{show(depth)} given, allowed: an integer 6n + 2 with n >= 1; the nearest are {lower} and "
        f"{lower + 6}"
    )


def _advice(schema: Mapping[str, Any], value: Any) -> str:
    """Return a hint in brackets on what to write instead of a bad value, "" if there is none."""
    types = allowed_types(schema)
    whole = isinstance(value, int) and not isinstance(value, bool)
    if "integer" in types and whole and abs(value) > LARGEST_INTEGER:
        return f" (at most {schema.get('maximum', LARGEST_INTEGER)})"
    if value is None and "default" in schema:
        return " (leave the key out to take its default)"
    if "array" in types and not isinstance(value, list) and schema.get("default"):
        return f" (for example {json.dumps(schema['default'])})"
    if "integer" in types and isinstance(value, float) and value.is_integer():
        return f" (write {int(value)})"
    if "string" in types and is_real(value) and "enum" not in schema:
        return " (put it in quotes)"
    if "number" in types and isinstance(value, str) and _POINTLESS_NUMBER.fullmatch(value):
        mantissa, exponent = value.lower().split("e")
        mantissa = mantissa if "." in mantissa else f"{mantissa}.0"
        exponent = exponent if exponent[0] in "+-" else f"+{exponent}"
        return f" (YAML reads {value} as text; write {mantissa}e{exponent})"
    return ""
