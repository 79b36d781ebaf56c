"""The examples of docs/extending.md: made as the page says, their commands run, nothing else stale.

The commands run with the tiny configuration instead of the quick one, and its depth.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import preloaded
import pytest
from projects import ROOT, Project

pytestmark = pytest.mark.thorough

PAGE = (ROOT / "docs" / "extending.md").read_text("utf-8")
REGISTRY = "workflow/scripts/resnoise/registry.py"
FILES = re.findall(r"^`(workflow/[\w/]+\.py)`\n\n```python\n(.*?)```", PAGE, re.M | re.S)
LINES = re.findall(rf"^In `(\w+)` of `{REGISTRY}`\n\n```python\n(.*?)```", PAGE, re.M | re.S)
SCHEMA = re.findall(r"^In `properties` of `([\w/.]+)`.*?\n\n```yaml\n(.*?)```", PAGE, re.M | re.S)
TINY = {"config/quick.yaml": "config/tiny.yaml", "/quick": "/tiny", "[14]": "[8]"}
COMMANDS = [
    re.sub("|".join(map(re.escape, TINY)), lambda match: TINY[match[0]], command)
    for command in re.findall(r"^```sh\n(.*?)```", PAGE, re.M | re.S)
]


def run(project: Project, command: str) -> str:
    """Run a command of the page and return what it printed."""
    folders = (str(preloaded.programs()), str(Path(sys.executable).parent), os.environ["PATH"])
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=project.root,
        env={**os.environ, "PATH": os.pathsep.join(folders)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory, finished: Project) -> Project:
    """Return a finished project to which all examples of the page have been added."""
    project = finished.copy_to(tmp_path_factory.mktemp("extended") / "project")
    for path, content in FILES:
        assert not (project.root / path).exists()
        (project.root / path).write_text(content, "utf-8")
    for table, line in LINES:
        text = (project.root / REGISTRY).read_text("utf-8")
        opening = re.search(rf"^{table}\b.*= {{\n", text, re.M)
        assert opening
        place = opening.end()
        (project.root / REGISTRY).write_text(text[:place] + line + text[place:], "utf-8")
    for name, section in SCHEMA:
        text = (project.root / name).read_text("utf-8")
        assert text.count("\nproperties:\n") == 1
        text = text.replace("\nproperties:\n", f"\nproperties:\n{section}")
        (project.root / name).write_text(text, "utf-8")
    return project


def test_each_example_is_one_file_one_line_and_commands() -> None:
    tables = ["ARCHITECTURES", "INITIALISATIONS", "METRICS", "METRICS", "SOURCES"]
    assert [table for table, _ in LINES] == tables
    # A metric with keys and a figure has one file more, and a section of the schema.
    assert len(FILES) == len(tables) + 1 and len(SCHEMA) == 1
    assert all(line.count("\n") == 1 for _, line in LINES)
    assert len(COMMANDS) == 6


def test_additions_make_nothing_stale_and_their_commands_work(extended: Project) -> None:
    architecture, initialisation, metric, keyed, source, compare = COMMANDS
    printed = run(extended, architecture)
    # The residual run is there.
    assert printed.count(": train/") == 1
    assert "| alternating " in printed and "| residual " in printed
    table = pd.read_csv(extended.results / "runs.csv").set_index(["architecture", "snapshot"])
    assert set(table["depth"]) == {8} and table["risk_mean"].notna().all()
    assert table.loc[("alternating", "final"), "risk_mean"] != pytest.approx(
        table.loc[("residual", "final"), "risk_mean"]
    )

    run(extended, initialisation)
    table = pd.read_csv(extended.results / "runs.csv")
    assert set(table["initialisation"]) == {"scaled-kwi_gain=1.2"}

    run(extended, metric)
    table = pd.read_csv(extended.results / "metrics" / "distance.csv")
    moved = table.set_index(["architecture", "snapshot"])["distance_mean"]
    assert (moved[:, "initial"] == 0).all() and (moved[:, "final"] > 0).all()
    own = pd.read_csv(extended.results / "runs/plain-8/kwi/seed1/metrics/distance.csv")
    assert own["distance"].iloc[-1] == pytest.approx(moved["plain", "final"])
    module = "workflow/scripts/resnoise/metrics/distance.py"
    extended.replace(module, "distance / norm", "norm / distance")
    # What was there before the additions is as it was.
    stale = {"metric": 2, "metric_table": 1}
    assert extended.stale("results/tiny/metrics/distance.csv") == stale
    extended.replace(module, "norm / distance", "distance / norm")

    printed = run(extended, keyed)
    assert printed.count(": metrics/dead_channels/") >= 2 and ": train/" not in printed
    table = pd.read_csv(extended.results / "metrics" / "dead_channels.csv")
    assert table["dead_mean"].between(0, 1).all() and table["block"].nunique() == 6
    assert (extended.results / "metrics" / "dead_channels_figure.pdf").stat().st_size > 1000
    figure = "results/tiny/metrics/dead_channels_figure.pdf"
    keys = "dead_channels={samples: 20}"
    same = ("--config", keys, "results=results/tiny")
    assert extended.stale(figure, *same) == {}
    other = ("--config", keys.replace("20", "30"), "results=results/tiny")
    assert extended.stale(figure, *other) == {"metric": 2, "metric_figure": 1}
    module = "workflow/scripts/resnoise/figures/dead_channels.py"
    extended.replace(module, "4.6", "4.7")
    assert extended.stale(figure, *same) == {"metric_figure": 1}

    printed = run(extended, source)
    study = extended.results / "studies" / "data.source=noisy-digits"
    assert str(study.relative_to(extended.root)) in printed
    printed = run(extended, compare)
    assert '| `data.source` | "digits" | "noisy-digits" |' in re.sub(" +", " ", printed)
    compared = pd.read_csv(study / "compared-with-tiny" / "table1.csv")
    risk = compared[compared["quantity"] == "risk"]
    assert len(risk) == 2 and (risk["difference"] != 0).all()
