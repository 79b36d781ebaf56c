"""Read YAML that people write, and refuse what is easily meant differently than YAML reads it.

YAML takes the last of two equal keys, reads 010 as 8 and 1:30 as 90, and allows a section that
contains itself. Each of these is refused with the line where it stands. Snakemake reads the same
files by itself and refuses none of them, so the rules look at them here first.
"""

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import yaml

from resnoise.errors import ResnoiseError
from resnoise.storage.digests import read_bytes

_MISLEADING = re.compile(r"[-+]?(0[0-7_]+|[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?)")


class _MistakeError(yaml.YAMLError):
    """What YAML allows and this module does not; the text says where."""


class _Loader(yaml.SafeLoader):
    """Reads YAML as yaml.SafeLoader does, or raises _MistakeError."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        node = super().compose_node(parent, index)
        if isinstance(node, yaml.MappingNode):
            keys: set[str] = set()
            for key, _ in node.value:
                # Merged sections (<<) may come several times.
                if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                    if key.value in keys:
                        raise _MistakeError(f"{_place(key)}: {_twice(key.value)}")
                    keys.add(key.value)
        if (
            isinstance(node, yaml.ScalarNode)
            and node.tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
            and _MISLEADING.fullmatch(node.value)
        ):
            read = self.construct_object(node)
            raise _MistakeError(
                f"{_place(node)}: YAML reads {node.value} as {read}; write {read}, or put text in "
                "quotes"
            )
        return node


def _place(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}"


def _twice(key: str) -> str:
    return f"the key {key!r} is there twice"


def _section(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a section of JSON; the keys of ``pairs`` must differ."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [key for key, _ in pairs]
        raise _MistakeError(_twice(next(key for key in names if names.count(key) > 1)))
    return found


def parse(text: str) -> Any:
    """Return what a text means that is YAML or, as Snakemake allows too, JSON.

    Raises:
        yaml.YAMLError: the text is neither, or misleading.
        ValueError: a value that YAML cannot hold, such as a 13th month.
    """
    try:
        if text.lstrip().startswith("{"):
            with contextlib.suppress(ValueError):
                return json.loads(text, object_pairs_hook=_section)
        return yaml.load(text, Loader=_Loader)
    except RecursionError as error:
        raise _MistakeError("too many sections in each other") from error


def read(file: Path, what: str) -> dict[Any, Any]:
    """Read a YAML file that holds a section.

    Args:
        file: the file.
        what: what it should be, for error messages, such as "a configuration".

    Raises:
        ResnoiseError: the file is missing or unreadable, is not text in UTF-8 or not YAML, is
            misleading, or holds no section.
    """
    try:
        found = parse(read_bytes(file).decode())
        _check_depth(found, set())
    except UnicodeDecodeError as error:
        raise ResnoiseError(f"{file}: not readable as {what}: it is not text in UTF-8") from error
    except (ValueError, yaml.YAMLError) as error:
        text = " ".join(str(error).split())
        raise ResnoiseError(f"{file}: not readable as {what}: {text}") from error
    if not isinstance(found, dict):
        raise ResnoiseError(f"{file}: no section found, needed: keys and their values")
    return found


def _check_depth(value: Any, around: set[int]) -> None:
    """Raise _MistakeError if a section or list contains itself."""
    if not isinstance(value, dict | list):
        return
    if id(value) in around:
        raise _MistakeError("a section that contains itself")
    for child in value.values() if isinstance(value, dict) else value:
        _check_depth(child, around | {id(value)})
