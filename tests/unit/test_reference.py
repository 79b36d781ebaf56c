"""The folder ``reference``: its runs are those of its configuration, and pages show its numbers."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from resnoise.config import load as config
from resnoise.data.dataset import Dataset
from resnoise.plan import finished, grid
from resnoise.plan.specs import run_spec
from resnoise.storage.checksum import file_digest
from resnoise.storage.pages import read_page
from resnoise.trained import run as trained
from resnoise.trained.taken import take

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "reference"
# A run that is taken is measured on any pictures of the kind that it was trained on.
IMAGES = np.random.default_rng(0).integers(0, 256, (10, 32, 32, 3), np.uint8)
HALF = np.full(3, 0.5)
PICTURES = Dataset(
    *(IMAGES, np.arange(10), IMAGES, np.arange(10)),
    *(tuple("0123456789"), HALF, HALF / 2, "spec", "digest"),
)


def test_all_its_runs_can_be_taken_for_its_configuration(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(ROOT)
    loaded = config.load(config.read([ROOT / "config" / "reference.yaml"]))
    assert {"table1", "layer_cushion", "weight_statistics"}.isdisjoint(finished.missing(loaded))
    runs = grid.table1_runs(loaded)
    assert {run.folder for run in runs} == {
        record.parent.relative_to(REFERENCE).as_posix() for record in REFERENCE.rglob("run.json")
    }
    for run in runs:
        # It checks all digests, and makes the weights of before training again.
        take(REFERENCE / run.folder, tmp_path / run.folder, run_spec(loaded, *run), PICTURES)
        assert {"initial", "final"} <= {*trained.read(tmp_path / run.folder, PICTURES).weights}


def test_its_files_are_sound_and_checking_them_leaves_nothing_behind() -> None:
    before = sorted(REFERENCE.rglob("*"))
    command = [sys.executable, "workflow/scripts/verify.py", "reference"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "none is called stale" in done.stdout
    counts = done.stdout.splitlines()[-1]
    assert re.fullmatch(r"0 damaged, 0 foreign, 0 stale, 0 unchecked, [3-9]\d sound", counts)
    assert sorted(REFERENCE.rglob("*")) == before


def test_the_page_has_the_digests_of_all_weights() -> None:
    page = read_page(REFERENCE / "README.md")
    weights = [*REFERENCE.rglob("weights.safetensors")]
    assert len(weights) == 2
    for file in weights:
        name = file.parent.relative_to(REFERENCE / "runs").as_posix()
        assert f"\n- {name}: {file_digest(file)}\n" in page


def test_the_readme_shows_its_numbers_beside_the_papers() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    for row in pd.read_csv(REFERENCE / "table1.csv").itertuples():
        own = f"| {row.risk_mean:.3f}, {row.test_error_mean:.3f} "
        assert f"{own}| {row.risk_paper:.3f}, {row.test_error_paper:.3f} |" in text
