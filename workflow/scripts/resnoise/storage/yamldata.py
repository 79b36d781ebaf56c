"""YAML files that belong to the code: schemas, the paper's numbers, claims."""

from pathlib import Path
from typing import Any

import yaml

# The loader written in C takes a tenth of the time, but some builds of PyYAML lack it.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(file: Path) -> Any:
    """Return what a file holds. It must be right: its mistakes are not explained."""
    return yaml.load(file.read_text("utf-8"), Loader=_LOADER)
