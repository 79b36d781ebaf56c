"""The numbers that the paper prints (config/paper.yaml)."""

from pathlib import Path
from typing import Any

import yaml

# What config/paper.yaml calls plain networks of an initialisation where two are compared: those
# from T(HMWI) are named for the residual networks that they equal.
PUBLISHED_AS = {"kwi": "plain", "t-hmwi": "residual"}


def read_paper(file: Path) -> dict[str, Any]:
    """Return the paper's printed numbers (config/paper.yaml)."""
    numbers: dict[str, Any] = yaml.safe_load(file.read_text("utf-8"))
    return numbers
