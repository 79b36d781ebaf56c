"""Table 1 from made-up evaluations, beside the paper's numbers."""

import csv
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from resnoise import provenance
from resnoise.config.schema import SCHEMA_PATH
from resnoise.errors import ResnoiseError
from resnoise.storage import csvfile
from resnoise.storage.digests import csv_path
from resnoise.storage.pages import read_page
from resnoise.summaries.evaluations import read_evaluations
from resnoise.summaries.published import read_paper
from resnoise.tables.table1 import make, table1
from resnoise.tables.text import markdown_table

PAPER = SCHEMA_PATH.with_name("paper.yaml")
INITIALISATION = {"plain": "kwi", "residual": "hmwi"}

# Risk, cost and test error of each run: (network, depth, seed) -> numbers, None if it diverged.
RUNS: dict[tuple[str, int, int], tuple[float, float, float] | None] = {
    ("plain", 8, 1): (0.5, 0.51, 0.20),
    ("plain", 8, 2): (0.7, 0.71, 0.25),
    ("plain", 44, 1): (2.4, 2.42, 0.60),
    ("plain", 44, 2): None,
    ("plain", 44, 3): (1.2, 1.23, 0.35),
    ("residual", 8, 1): (0.4, 0.41, 0.21),
    ("residual", 8, 2): (0.2, 0.22, 0.13),
    ("residual", 20, 1): (0.1, 0.125, 0.15),
    ("residual", 44, 1): None,
}


def write_evaluation(folder: Path, run: tuple[str, int, int]) -> Path:
    """Write the evaluation of a run as the evaluation script does."""
    network, depth, seed = run
    keys = {
        "architecture": network,
        "depth": depth,
        "initialisation": INITIALISATION[network],
        "seed": seed,
    }
    rows: list[dict[str, Any]] = [
        {**keys, "snapshot": "initial", "status": "ok", "risk": 9, "cost": 9, "test_error": 0.9}
    ]
    numbers = RUNS[run]
    rows.append({**keys, "snapshot": "final", "status": "ok" if numbers else "diverged"})
    if numbers:
        rows[1].update(zip(("risk", "cost", "test_error"), numbers, strict=True))
    file = folder / f"{network}-{depth}-{seed}.csv"
    with csv_path(file) as path, path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return file


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Evaluation files in an order that is not the table's."""
    return [write_evaluation(tmp_path, run) for run in sorted(RUNS, reverse=True)]


@pytest.fixture
def table(files: list[Path]) -> pd.DataFrame:
    return table1(read_evaluations(files), read_paper(PAPER)["table1"])


def row(table: pd.DataFrame, network: str, depth: int) -> dict[str, Any]:
    (found,) = table[(table["network"] == network) & (table["depth"] == depth)].to_dict("records")
    return found


def finished(network: str, depth: int) -> list[tuple[float, float, float]]:
    return [n for (a, d, _), n in RUNS.items() if (a, d) == (network, depth) and n]


def test_there_is_a_row_for_each_depth_and_network_in_order(table: pd.DataFrame) -> None:
    rows = list(zip(table["depth"], table["network"], table["initialisation"], strict=True))
    assert rows == [
        (8, "plain", "kwi"),
        (8, "residual", "hmwi"),
        (20, "residual", "hmwi"),
        (44, "plain", "kwi"),
        (44, "residual", "hmwi"),
    ]


@pytest.mark.parametrize(
    ("network", "depth"), [("plain", 8), ("plain", 44), ("residual", 8), ("residual", 20)]
)
def test_means_and_deviations_are_those_of_the_finished_seeds(
    table: pd.DataFrame, network: str, depth: int
) -> None:
    found = row(table, network, depth)
    columns = zip(*finished(network, depth), strict=True)
    for measure, numbers in zip(("risk", "cost", "test_error"), columns, strict=True):
        assert found[f"{measure}_mean"] == pytest.approx(statistics.mean(numbers))
        if len(numbers) > 1:
            assert found[f"{measure}_std"] == pytest.approx(statistics.stdev(numbers))
        else:
            assert pd.isna(found[f"{measure}_std"])


def test_diverged_seeds_are_counted_and_count_in_no_mean(table: pd.DataFrame) -> None:
    counts = {
        (found["network"], found["depth"]): (found["seeds"], found["diverged"])
        for found in table.to_dict("records")
    }
    assert counts == {
        ("plain", 8): (2, 0),
        ("residual", 8): (2, 0),
        ("residual", 20): (1, 0),
        ("plain", 44): (3, 1),
        ("residual", 44): (1, 1),
    }
    for measure in ("risk", "cost", "test_error", "risk_growth"):
        assert pd.isna(row(table, "residual", 44)[f"{measure}_mean"])


def test_growth_is_relative_to_the_smallest_depth_of_the_same_network(table: pd.DataFrame) -> None:
    assert row(table, "plain", 8)["risk_growth_mean"] == 1
    assert row(table, "plain", 44)["risk_growth_mean"] == pytest.approx(1.8 / 0.6)
    assert row(table, "residual", 20)["risk_growth_mean"] == pytest.approx(0.1 / 0.3)


def test_the_paper_s_numbers_are_beside_the_measured_ones(table: pd.DataFrame) -> None:
    plain, residual = row(table, "plain", 44), row(table, "residual", 44)
    names = ("risk_paper", "cost_paper", "test_error_paper")
    assert [plain[name] for name in names] == [0.4950, 0.4962, 0.2213]
    assert [residual[name] for name in names] == [0.07397, 0.07459, 0.1182]


def test_depths_that_the_paper_lacks_have_no_paper_s_numbers(table: pd.DataFrame) -> None:
    for network in ("plain", "residual"):
        found = row(table, network, 8)
        for measure in ("risk", "cost", "test_error", "risk_growth"):
            assert pd.isna(found[f"{measure}_paper"])
    # Depth 8 is the smallest, so nothing can be said of the paper's growth from it.
    assert table["risk_growth_paper"].isna().all()


def test_the_paper_s_growth_is_what_its_text_says(tmp_path: Path) -> None:
    depths = (20, 32, 44)
    rows = [
        {
            "architecture": network,
            "depth": depth,
            "initialisation": INITIALISATION[network],
            "seed": 1,
            "snapshot": "final",
            "status": "ok",
            "risk": 1.0,
            "cost": 1.0,
            "test_error": 0.5,
        }
        for network in INITIALISATION
        for depth in depths
    ]
    table = table1(pd.DataFrame(rows), read_paper(PAPER)["table1"])
    assert row(table, "plain", 44)["risk_growth_paper"] == pytest.approx(6.85, abs=0.005)
    assert row(table, "residual", 44)["risk_growth_paper"] == pytest.approx(1.73, abs=0.005)


def test_the_order_of_the_files_does_not_matter(files: list[Path], table: pd.DataFrame) -> None:
    again = table1(read_evaluations(files[::-1]), read_paper(PAPER)["table1"])
    pd.testing.assert_frame_equal(again, table)


def test_the_markdown_shows_measured_and_printed_numbers(files: list[Path], tmp_path: Path) -> None:
    made = make(files, read_paper(PAPER))
    made.save(tmp_path / "t.md", tmp_path / "t.csv")
    text = made.text
    assert read_page(tmp_path / "t.md") == text
    title, _, *lines = text.splitlines()[:9]
    assert title == "# Table 1"
    assert len({len(line) for line in lines}) == 1
    del lines[1]
    assert [" ".join(line.strip("| ").split()) for line in lines] == [
        "depth | network | init | seeds | training risk | training cost | test error | risk growth",
        "8 | plain | KWI | 2 | 0.6000 +- 0.14 | 0.6100 +- 0.14 | 0.2250 +- 0.035 | 1.00",
        "8 | residual | HMWI | 2 | 0.3000 +- 0.14 | 0.3150 +- 0.13 | 0.1700 +- 0.057 | 1.00",
        "20 | residual | HMWI | 1 | 0.1000 (0.04287) | 0.1250 (0.04338) | 0.1500 (0.1131) | 0.333",
        "44 | plain | KWI | 3 (1 diverged) | 1.800 +- 0.85 (0.4950) | 1.825 +- 0.84 (0.4962)"
        " | 0.4750 +- 0.18 (0.2213) | 3.00",
        "44 | residual | HMWI | 1 (1 diverged) | diverged (0.07397) | diverged (0.07459)"
        " | diverged (0.1182) | -",
    ]


def test_initialisations_are_called_as_the_paper_does(tmp_path: Path) -> None:
    file = write_evaluation(tmp_path, ("plain", 8, 1))
    for name, shown in (("t-hmwi", "T(HMWI)"), ("id-entries_alpha=0.5", "id-entries_alpha=0.5")):
        rows = csvfile.read(file, "an evaluation").assign(initialisation=name)
        csvfile.write(file, rows)
        text = make([file], read_paper(PAPER), section="table2").text
        assert f" | {shown} | " in text


def test_the_csv_holds_the_numbers_of_the_table(
    files: list[Path], table: pd.DataFrame, tmp_path: Path
) -> None:
    make(files, read_paper(PAPER)).save(tmp_path / "t.md", tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="") as stream:
        written = list(csv.DictReader(stream))
    assert list(written[0]) == list(table.columns)
    for line, expected in zip(written, table.to_dict("records"), strict=True):
        for name, value in expected.items():
            if pd.isna(value):
                assert line[name] == ""
            else:
                assert type(value)(line[name]) == value


def test_a_markdown_table_is_aligned() -> None:
    assert markdown_table(["a", "long"], [["xyz", "1"], ["", "2"]]).splitlines() == [
        "| a   | long |",
        "|-----|------|",
        "| xyz | 1    |",
        "|     | 2    |",
    ]


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00\x81", b'a,b\n1,2\n1,2,3\n"'], ids=["empty", "binary", "torn"]
)
def test_an_unreadable_evaluation_is_named(
    files: list[Path], tmp_path: Path, content: bytes
) -> None:
    broken = tmp_path / "broken.csv"
    with csv_path(broken) as temporary:
        temporary.write_bytes(content)
    with pytest.raises(ResnoiseError, match=r"broken\.csv: not readable as an evaluation"):
        read_evaluations([*files, broken])


def test_a_missing_evaluation_is_named(files: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ResnoiseError, match=r"missing\.csv: cannot be read"):
        read_evaluations([*files, tmp_path / "missing.csv"])


@pytest.mark.parametrize(
    "column", ["architecture", "depth", "initialisation", "snapshot", "status", "cost"]
)
def test_an_evaluation_without_a_column_is_named(
    files: list[Path], tmp_path: Path, column: str
) -> None:
    csvfile.write(tmp_path / "broken.csv", pd.read_csv(files[0]).drop(columns=column))
    with pytest.raises(ResnoiseError, match=rf"broken\.csv: no column {column}"):
        read_evaluations([*files, tmp_path / "broken.csv"])


def test_the_script_ends_with_one_line_about_an_unreadable_file(
    files: list[Path], tmp_path: Path
) -> None:
    command = [sys.executable, provenance.SCRIPTS / "table.py", "table1", "--paper", PAPER]
    command += ["--output", tmp_path / "t.csv", tmp_path / "t.md"]
    command += ["--files", *files, tmp_path / "missing.csv"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"error: {tmp_path / 'missing.csv'}: cannot be read")
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / "t.csv").exists()
