"""Tables over runs, from files of runs to means over seeds."""

from pathlib import Path

import pandas as pd
import pytest

from resnoise.errors import ResnoiseError
from resnoise.storage import csvfile
from resnoise.storage.digests import write_json
from resnoise.storage.pages import read_page
from resnoise.tables.over_seeds import make, over_seeds

ROWS = [
    # architecture, depth, initialisation, seed, snapshot, value
    ("residual", 20, "hmwi", 1, "final", 1.0),
    ("residual", 20, "hmwi", 2, "final", 4.0),
    ("residual", 20, "hmwi", 1, "initial", 5.0),
    ("plain", 8, "kwi", 1, "final", 7.0),
]
COLUMNS = ["architecture", "depth", "initialisation", "seed", "snapshot", "value"]


def test_numbers_are_averaged_over_seeds_and_texts_tell_rows_apart() -> None:
    table = over_seeds(pd.DataFrame(ROWS, columns=COLUMNS))
    assert list(table.columns) == [*COLUMNS[:3], "snapshot", "seeds", "value_mean", "value_std"]
    assert list(table["depth"]) == [8, 20, 20]
    row = table[(table["architecture"] == "residual") & (table["snapshot"] == "final")].iloc[0]
    assert row["seeds"] == 2 and row["value_mean"] == 2.5
    # Sample standard deviation of 1 and 4.
    assert row["value_std"] == pytest.approx(4.5**0.5)
    assert table["value_std"].isna().sum() == 2


def test_rows_of_one_run_that_no_text_tells_apart_are_refused() -> None:
    rows = [*ROWS, ("plain", 8, "kwi", 1, "final", 8.0)]
    with pytest.raises(ResnoiseError, match=r"architecture plain, depth 8.*seed 1"):
        over_seeds(pd.DataFrame(rows, columns=COLUMNS))


def test_files_of_runs_become_csv_and_markdown(tmp_path: Path) -> None:
    for seed, value in ((1, 0.25), (2, 0.75)):
        folder = tmp_path / f"seed{seed}"
        (folder / "metrics").mkdir(parents=True)
        spec = {
            "network": {"architecture": "plain", "depth": 8},
            "initialisation": "kwi",
            "seed": seed,
        }
        write_json(folder / "run.json", {"spec": spec})
        # Evaluations say themselves which run they are of.
        rows = pd.DataFrame({"seed": [seed], "snapshot": ["final"], "half": [value]})
        csvfile.write(folder / "metrics" / "x.csv", rows)
    records = [tmp_path / f"seed{seed}" / "run.json" for seed in (1, 2)]
    csv, markdown = tmp_path / "x.csv", tmp_path / "x.md"
    made = make(records, name="metrics/x.csv", title="x")
    made.save(markdown, csv)
    text = made.text
    assert pd.read_csv(csv)["half_mean"].tolist() == [0.5]
    assert "| plain        | 8     | kwi            | final    | 2     | 0.5000 +- 0.35 |" in text
    assert read_page(markdown) == text and text.startswith("# x\n")
    (records[1].parent / "metrics" / "x.csv").unlink()
    with pytest.raises(ResnoiseError, match="seed2"):
        make(records, name="metrics/x.csv", title="x")
