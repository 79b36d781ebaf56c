"""How results were made, as the report shows it, apart from what is in their files."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from resnoise.errors import ResnoiseError
from resnoise.storage.digests import read_json


@dataclasses.dataclass(frozen=True)
class Facts:
    """How the results were made, apart from what is in their files.

    Attributes:
        config: the configuration.
        differences: part of the configuration -> texts on how it differs from the paper's.
        command: the command that made the page.
        snakemake: version of Snakemake.
        verified: when all files were last checked, and what was found; None if they never were.
    """

    config: Mapping[str, Any]
    differences: Mapping[str, Sequence[str]]
    command: str
    snakemake: str
    verified: str | None = None


def verified(file: Path) -> str:
    """Return in words when all files were last checked, and what was found.

    Args:
        file: what ``verify.py`` has written.

    Raises:
        ResnoiseError: the file is damaged.
    """
    facts = read_json(file)
    try:
        counts = ", ".join(f"{count} {state}" for state, count in facts["counts"].items() if count)
        return f"{facts['checked'][:16].replace('T', ' ')} UTC: {counts}"
    except (KeyError, TypeError, AttributeError) as error:
        raise ResnoiseError(f"{file}: damaged, delete it and rerun ({error!r})") from error
