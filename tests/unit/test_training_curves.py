"""The figure of the training curves: its numbers, its axes, and the same bytes each time."""

import csv
import math
import os
import statistics
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from resnoise import provenance
from resnoise.errors import ResnoiseError
from resnoise.figures import style, training_curves
from resnoise.storage.digests import write_json
from resnoise.summaries.runs import read_histories
from resnoise.training.history import Row, write

# (network, depth, seed) -> risk and test error of each epoch, None for the one that diverged.
RUNS: dict[tuple[str, int, int], list[tuple[float, float] | None]] = {
    ("residual", 20, 1): [(2.0, 0.8), (0.5, 0.4), (0.04, 0.3)],
    ("residual", 20, 2): [(1.0, 0.7), (0.7, 0.5), (0.02, 0.2)],
    ("plain", 8, 1): [(2.2, 0.9), (1.5, 0.6), (0.9, 0.5)],
    ("plain", 20, 1): [(2.3, 0.9), (2.2, 0.9), (1.9, 0.8)],
    ("plain", 20, 2): [(2.1, 0.85), None],
}


def write_run(results: Path, run: tuple[str, int, int]) -> Path:
    """Write what the figure reads of a run and return its history."""
    network, depth, seed = run
    folder = results / f"{network}-{depth}" / f"seed{seed}"
    folder.mkdir(parents=True)
    spec = {
        "network": {"architecture": network, "depth": depth, "width": 16},
        "initialisation": "kwi",
        "seed": seed,
    }
    write_json(folder / "run.json", {"spec": spec})
    nan = math.nan
    rows = [
        Row(epoch, 0.1, numbers[0], nan, nan, nan, numbers[1], 1.0, nan)
        if numbers
        else Row(epoch, 0.1, nan, nan, nan, nan, nan, 1.0, nan, "diverged")
        for epoch, numbers in enumerate(RUNS[run], start=1)
    ]
    write(folder / "history.csv", rows)
    return folder / "history.csv"


@pytest.fixture
def histories(tmp_path: Path) -> list[Path]:
    return [write_run(tmp_path / "runs", run) for run in RUNS]


def outputs(folder: Path) -> dict[str, Path]:
    return {kind: folder / f"curves.{kind}" for kind in ("pdf", "png", "csv")}


def draw(histories: list[Path], folder: Path) -> dict[str, Path]:
    written = outputs(folder)
    training_curves.make(histories).save(*written.values())
    return written


def test_histories_say_which_run_a_row_belongs_to(histories: list[Path]) -> None:
    frame = read_histories(file.parent for file in histories)
    assert list(frame.columns[:5]) == ["architecture", "depth", "initialisation", "seed", "epoch"]
    columns = [frame[name] for name in ("architecture", "depth", "seed", "risk")]
    found = list(zip(*columns, strict=True))
    expected = [(*run, n[0] if n else math.nan) for run, rows in RUNS.items() for n in rows]
    assert str(found) == str(expected)


def test_the_csv_has_mean_smallest_and_largest_value_of_the_finished_seeds(
    histories: list[Path], tmp_path: Path
) -> None:
    with draw(histories, tmp_path)["csv"].open(newline="") as stream:
        found = list(csv.DictReader(stream))
    networks = [("plain", 8), ("plain", 20), ("residual", 20)]
    assert [(r["architecture"], int(r["depth"]), int(r["epoch"])) for r in found] == [
        (*network, epoch) for network in networks for epoch in (1, 2, 3)
    ]
    for line in found:
        network, depth, index = line["architecture"], int(line["depth"]), int(line["epoch"]) - 1
        seeds = [rows for (a, d, _), rows in RUNS.items() if (a, d) == (network, depth)]
        epochs = [rows[index] for rows in seeds if len(rows) > index]
        values = list(zip(*[numbers for numbers in epochs if numbers], strict=True))
        assert int(line["seeds"]) == len(values[0])
        for name, numbers in zip(("risk", "test_error"), values, strict=True):
            assert float(line[f"{name}_mean"]) == pytest.approx(statistics.mean(numbers), rel=1e-15)
            assert float(line[f"{name}_min"]) == min(numbers)
            assert float(line[f"{name}_max"]) == max(numbers)


def test_the_figure_shows_the_means_with_risk_on_a_logarithmic_axis(
    histories: list[Path],
) -> None:
    frame = read_histories(file.parent for file in histories)
    summary = training_curves.summarise(frame)
    figure = training_curves.draw(summary)
    axes = dict(zip(("risk", "test_error"), figure.axes, strict=True))
    plt.close(figure)
    assert axes["risk"].get_yscale() == "log"
    assert axes["test_error"].get_yscale() == "linear"
    assert axes["test_error"].get_ylim()[0] == 0
    assert [axis.get_xlabel() for axis in figure.axes] == ["epoch", "epoch"]
    for name, axis in axes.items():
        lines = {str(line.get_label()): line for line in axis.get_lines()}
        assert list(lines) == ["plain-8", "plain-20", "residual-20"]
        for label, line in lines.items():
            network, _, depth = label.partition("-")
            rows = (summary["architecture"] == network) & (summary["depth"] == int(depth))
            assert list(line.get_xdata()) == [1, 2, 3]
            assert list(line.get_ydata()) == list(summary[rows][f"{name}_mean"])
            assert line.get_color() == style.COLOURS[network]
        styles = {label: line.get_linestyle() for label, line in lines.items()}
        assert styles["plain-8"] != styles["plain-20"] == styles["residual-20"]
        assert len(axis.collections) == 3
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "plain-8",
        "plain-20",
        "residual-20",
    ]


def test_the_same_data_gives_the_same_bytes(histories: list[Path], tmp_path: Path) -> None:
    written = [
        {kind: file.read_bytes() for kind, file in draw(histories, tmp_path / name).items()}
        for name in ("one", "two")
    ]
    assert written[0] == written[1]
    assert written[0]["pdf"].startswith(b"%PDF")
    assert b"CreationDate" not in written[0]["pdf"]
    assert written[0]["png"].startswith(b"\x89PNG")


def test_the_script_writes_the_same_bytes_in_another_process(
    histories: list[Path], tmp_path: Path
) -> None:
    here = draw(histories, tmp_path / "here")
    there = outputs(tmp_path / "there")
    command = [sys.executable, provenance.SCRIPTS / "figure.py", "training_curves"]
    command += ["--files", *histories, "--output", *there.values()]
    environment = os.environ | {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    for kind, file in here.items():
        assert there[kind].read_bytes() == file.read_bytes(), kind


def test_other_data_gives_another_figure(
    histories: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = {**RUNS, ("plain", 8, 1): [(2.2, 0.9), (1.5, 0.6), (0.8, 0.45)]}
    monkeypatch.setitem(globals(), "RUNS", changed)
    others = [write_run(tmp_path / "others", run) for run in RUNS]
    one, two = draw(histories, tmp_path / "one"), draw(others, tmp_path / "two")
    for kind in one:
        assert one[kind].read_bytes() != two[kind].read_bytes()


def test_figures_are_drawn_even_if_every_run_diverged_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "RUNS", {("plain", 8, 1): [None]})
    written = draw([write_run(tmp_path / "runs", ("plain", 8, 1))], tmp_path)
    assert written["png"].stat().st_size > 0
    assert len(written["csv"].read_text().splitlines()) == 1


@pytest.mark.parametrize("name", ["run.json", "history.csv"])
def test_a_missing_file_is_named(histories: list[Path], name: str) -> None:
    folder = histories[1].parent
    (folder / name).unlink()
    with pytest.raises(ResnoiseError, match=f"{folder}/{name}: cannot be read"):
        read_histories(file.parent for file in histories)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("run.json", ""),
        ("run.json", "[]"),
        ("run.json", "{}"),
        ("run.json", '{"spec": {"seed": 1}}'),
        ("history.csv", ""),
        ("history.csv", 'epoch,risk\n1\n1,2,3\n"'),
    ],
)
def test_a_damaged_file_is_named(histories: list[Path], name: str, text: str) -> None:
    folder = histories[1].parent
    (folder / name).write_text(text)
    with pytest.raises(ResnoiseError, match=f"{folder}/{name}: "):
        read_histories(file.parent for file in histories)
