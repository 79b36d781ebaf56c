"""What a release and an archive need says the same everywhere."""

import json
import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


def test_citation_and_archive_agree() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    archive = json.loads((ROOT / ".zenodo.json").read_text("utf-8"))
    for ours, theirs in (
        *((name, name) for name in ("title", "version", "license", "keywords")),
        ("abstract", "description"),
    ):
        assert citation[ours] == archive[theirs]
    package = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert package["version"] == citation["version"]
    names = [author["name"] for author in citation["authors"]]
    assert [creator["name"] for creator in archive["creators"]] == names
    (paper,) = citation["references"]
    (related,) = archive["related_identifiers"]
    assert paper["url"].endswith("1905.10944") and related["identifier"] == "arXiv:1905.10944"


def test_the_changelog_has_versions_that_fall() -> None:
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings[0] == "Unreleased" or headings[0].startswith("0.1.0")
    released = [re.fullmatch(r"(\d+)\.(\d+)\.(\d+) \(\d{4}-\d\d-\d\d\)", h) for h in headings[1:]]
    assert all(released)
    numbers = [tuple(map(int, found.groups())) for found in released if found]
    assert numbers == sorted(numbers, reverse=True)
