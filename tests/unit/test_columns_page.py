"""The page of columns explains every column of the files that come with the project."""

import csv
import re
from pathlib import Path

import pytest
from documents import ROOT

PAGE = ROOT / "docs" / "columns.md"
PUBLISHED = ROOT / "reference"
COMMON = "Columns that many files have"
OF_FOLDER, OF_RUN = "Files of a results folder", "Files of a run"


def tables() -> dict[str, dict[str, set[str]]]:
    """Return part of the page -> file ("" for none) -> names of the columns in its table."""
    found: dict[str, dict[str, set[str]]] = {}
    part, files = "", [""]
    for line in PAGE.read_text("utf-8").splitlines():
        if line.startswith("## "):
            part, files = line[3:], [""]
            found[part] = {}
        elif line.startswith("### "):
            files = re.findall(r"`(\w+\.csv)`", line)
        elif line.startswith("| `"):
            names = re.findall(r"`(\w+)`", line.split(" | ")[0])
            for file in files:
                found[part].setdefault(file, set()).update(names)
    return found


def header(file: Path) -> set[str]:
    with file.open(encoding="utf-8", newline="") as lines:
        return set(next(csv.reader(lines)))


@pytest.mark.parametrize(
    "file", sorted(PUBLISHED.rglob("*.csv")), ids=lambda file: str(file.relative_to(PUBLISHED))
)
def test_every_column_is_explained(file: Path) -> None:
    known = tables()
    own = known[OF_FOLDER if file.parent == PUBLISHED else OF_RUN].get(file.name, set())
    assert header(file) - own - known[COMMON][""] == set()


@pytest.mark.parametrize("file", sorted(PUBLISHED.glob("*.csv")), ids=lambda file: file.name)
def test_no_column_is_explained_that_is_not_there(file: Path) -> None:
    text = PAGE.read_text("utf-8")
    (heading,) = re.findall(rf"^### .*`{file.name}`.*$", text.partition(f"## {OF_RUN}")[0], re.M)
    others = [PUBLISHED / name for name in re.findall(r"`(\w+\.csv)`", heading)]
    # Files with one table share it; not all of them are published.
    if all(other.exists() for other in others):
        there = set().union(*(header(other) for other in others))
        assert tables()[OF_FOLDER][file.name] - there == set()
