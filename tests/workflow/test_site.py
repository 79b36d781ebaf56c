"""The documentation as a site: all links lead somewhere, and formulas are formulas."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from projects import ROOT

pytestmark = pytest.mark.thorough


def test_the_site_is_built_and_a_dead_link_stops_it(tmp_path: Path) -> None:
    pytest.importorskip("material")
    checkout = tmp_path / "checkout"
    # Caches, too, because other tests may be writing them.
    ignored = shutil.ignore_patterns(
        *(".git", ".venv", ".snakemake", "results", "site", ".site", "__pycache__", ".*_cache")
    )
    shutil.copytree(ROOT, checkout, ignore=ignored, symlinks=True)
    (checkout / "results" / "quick").mkdir(parents=True)
    (checkout / "results" / "quick" / "report.html").write_text("<p>all claims</p>", "utf-8")
    command = [checkout / ".ci" / "run", "site"]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    subprocess.run(command, check=True, env=environment)
    page = (checkout / "site" / "docs" / "experiments" / "index.html").read_text("utf-8")
    assert page.count('class="arithmatex"') > 50 and "$L" not in page
    # A block of code whose first line is not understood would swallow what follows.
    pages = (checkout / "site").rglob("index.html")
    assert [str(file) for file in pages if "```" in file.read_text("utf-8")] == []
    assert "results/quick/report.html" in (checkout / "site/reports/index.html").read_text("utf-8")
    assert (checkout / "site" / "results" / "quick" / "report.html").exists()
    with (checkout / "docs" / "results.md").open("a", encoding="utf-8") as stream:
        stream.write("\n[x](extending.md#no-such-heading)\n")
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode != 0 and "no-such-heading" in done.stdout + done.stderr
