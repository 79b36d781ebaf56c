"""The documentation: the generated reference is up to date, and links lead to files."""

import re
from pathlib import Path

import pytest
import yaml

from resnoise import config_page

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "config" / "schema.yaml"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "config" / "README.md"]
PAGES += sorted((ROOT / "docs").glob("*.md"))


def test_the_reference_is_up_to_date() -> None:
    written = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    assert written == config_page.page(SCHEMA), "run workflow/scripts/configuration_page.py"


def test_the_reference_has_every_key_with_its_own_default() -> None:
    text = config_page.page(SCHEMA)
    written = SCHEMA.read_text("utf-8").partition("$defs:")[0]
    words = set(re.findall(r"^ +(\w+):$", written, re.MULTILINE))
    names = words - {"properties", "items", "default", "not"}
    shown = {key.rpartition(".")[2] for key in re.findall(r"`([\w.\[\]]+)`", text)}
    assert len(names) > 50
    assert sorted(names - shown) == []
    # Two families share one recipe and differ in this default.
    assert "**`training.simplified.learning_rate`** (default `0.005`)" in text
    assert "**`training.fully_fledged.learning_rate`** (default `0.1`)" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("name", ["CITATION.cff", ".snakemake-workflow-catalog.yml"])
def test_metadata_can_be_read(name: str) -> None:
    assert isinstance(yaml.safe_load((ROOT / name).read_text("utf-8")), dict)
