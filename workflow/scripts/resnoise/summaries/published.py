"""The numbers that the paper prints (config/paper.yaml)."""

from pathlib import Path
from typing import Any

from resnoise.storage import yamldata

# Initialisation -> name in config/paper.yaml, where plain networks of two initialisations are
# compared. Those from T(HMWI) are called "residual", after the residual networks they are equal to.
PUBLISHED_AS = {"kwi": "plain", "t-hmwi": "residual"}


def read_paper(file: Path) -> dict[str, Any]:
    """Read the numbers that the paper prints, as nested dictionaries (config/paper.yaml)."""
    numbers: dict[str, Any] = yamldata.read(file)
    return numbers
