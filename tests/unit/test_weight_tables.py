"""Tables 3 and 4 and Figure 7 from made-up statistics, beside the paper's numbers."""

import math
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from resnoise.config.schema import SCHEMA_PATH
from resnoise.errors import ResnoiseError
from resnoise.figures import figure7
from resnoise.metrics.weight_statistics import histogram_counts
from resnoise.storage import csvfile
from resnoise.storage.digests import write_json
from resnoise.storage.pages import read_page
from resnoise.summaries.published import read_paper
from resnoise.summaries.weights import read_statistics, table3
from resnoise.tables.table3 import make as make_table3
from resnoise.tables.table4 import make as make_table4
from resnoise.tables.table4 import table4, table4_markdown

PAPER = SCHEMA_PATH.with_name("paper.yaml")


def write_run(results: Path, network: str, initialisation: str, seed: int, size: float) -> Path:
    """Write the statistics of a run of depth 32 whose numbers are made of ``size``."""
    folder = results / f"{network}-32" / initialisation / f"seed{seed}"
    folder.mkdir(parents=True)
    spec = {
        "network": {"architecture": network, "depth": 32, "width": 16},
        "initialisation": initialisation,
        "seed": seed,
    }
    write_json(folder / "run.json", {"spec": spec})
    rows = []
    bins = []
    for snapshot, factor in (("initial", 1.0), ("epoch1", 50.0), ("final", 2.0)):
        for view, shift in (("plain", 0.0), ("residual", 1000.0)):
            number = size * factor + shift
            rows += [
                (snapshot, view, group, statistic, number * scale)
                for group, statistic, scale in (
                    ("all", "mass", 10),
                    ("all", "above", 3),
                    ("large", "mass", 5),
                    ("id", "mass", 1),
                    ("id", "above", 2),
                    ("id", "mode", 0.01),
                    ("id", "share", 0.1),
                    ("all", "weight_term", 1e-4),
                )
            ]
            bins.append((snapshot, view, "all", 0.0, 0.5, 2000 * factor))
            bins.append((snapshot, view, "all", 1.0, 1.5, 4 * factor))
            bins.append((snapshot, view, "id", 1.0, 1.5, 4 * factor))
    columns = ["snapshot", "view", "group", "statistic", "value"]
    csvfile.write(folder / "weight_statistics.csv", pd.DataFrame(rows, columns=columns))
    columns = ["snapshot", "view", "group", "low", "high", "count"]
    csvfile.write(folder / "weight_histogram.csv", pd.DataFrame(bins, columns=columns))
    evaluation = [
        {
            "architecture": network,
            "depth": 32,
            "initialisation": initialisation,
            "seed": seed,
            "snapshot": snapshot,
            "status": "ok",
            "risk": risk,
            "cost": risk,
            "test_error": 0.5,
        }
        for snapshot, risk in (("initial", 2.3), ("final", 0.1 * size))
    ]
    csvfile.write(folder / "evaluation.csv", pd.DataFrame(evaluation))
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Return two plain runs and a transferred one."""
    return [
        write_run(tmp_path, "plain", "kwi", 1, 1.0),
        write_run(tmp_path, "plain", "kwi", 2, 3.0),
        write_run(tmp_path, "residual", "hmwi", 1, 7.0),
    ]


def test_table3_means_over_seeds_of_the_plain_view_beside_the_paper(folders: list[Path]) -> None:
    table = table3(read_statistics(folders), read_paper(PAPER)["table3"])
    table = table.set_index(["group", "statistic"])
    mass = table.loc[("id", "mass")]
    # Means of 1 and 3 before, twice that after; the snapshot in between does not count.
    assert mass["before_p_mean"] == 2 and mass["after_p_mean"] == 4
    assert mass["before_p_std"] == pytest.approx(math.sqrt(2)) and mass["before_p_seeds"] == 2
    assert mass["before_transferred_mean"] == 7 and math.isnan(mass["before_transferred_std"])
    assert mass["before_p_paper"] == 67 and mass["after_p_paper"] == 72
    assert pd.isna(mass["after_transferred_paper"])
    assert table.loc[("all", "above"), "after_p_paper"] == 26
    assert table.loc[("large", "mass"), "after_p_paper"] == 700
    assert table.loc[("id", "mode"), "after_transferred_paper"] == 0.9
    assert table.loc[("id", "share"), "after_transferred_paper"] == 0.76
    assert table.loc[("id", "share"), "after_p_paper"] == pytest.approx(72 / 700, abs=1e-4)


def test_table3_is_written_with_the_papers_numbers_in_brackets(
    folders: list[Path], tmp_path: Path
) -> None:
    files = tmp_path / "table3.csv", tmp_path / "table3.md"
    statistics = [folder / "weight_statistics.csv" for folder in folders]
    made = make_table3(statistics, read_paper(PAPER), threshold=0.25, id_threshold=0.7)
    made.save(files[1], files[0])
    text = made.text
    assert read_page(files[1]) == text
    line = next(line for line in text.splitlines() if "mass, ID entries" in line)
    assert [cell.strip() for cell in line.split("|")[3:7]] == [
        "2 +- 1.4 (67)",
        "7",
        "4 +- 2.8 (72)",
        "14",
    ]
    again = pd.read_csv(files[0])
    measured = table3(read_statistics(folders), {})
    for name in ("group", "statistic", "before_p_mean", "after_transferred_mean", "after_p_seeds"):
        assert [*again[name]] == [*measured[name]]


@pytest.fixture
def equals(tmp_path: Path) -> list[Path]:
    """Return plain runs from KWI and from T(HMWI)."""
    return [
        write_run(tmp_path, "plain", "kwi", 1, 4.0),
        write_run(tmp_path, "plain", "kwi", 2, 6.0),
        write_run(tmp_path, "plain", "t-hmwi", 1, 2.0),
    ]


def test_table4_holds_both_terms_and_their_ratios(equals: list[Path], tmp_path: Path) -> None:
    files = tmp_path / "table4.csv", tmp_path / "table4.md"
    statistics = [folder / "weight_statistics.csv" for folder in equals]
    made = make_table4(statistics, read_paper(PAPER))
    made.save(files[1], files[0])
    text = made.text
    table = pd.read_csv(files[0]).set_index(["moment", "initialisation"])
    kwi, transferred = table.loc[("before", "kwi")], table.loc[("before", "t-hmwi")]
    assert kwi["term_mean"] == pytest.approx(5e-4) and kwi["seeds"] == 2
    assert math.isnan(kwi["residual_term_mean"]) and math.isnan(kwi["kwi_term_ratio"])
    assert kwi["risk_over_term"] == pytest.approx(2.3 / 5e-4)
    assert transferred["residual_term_mean"] == pytest.approx(1002e-4)
    assert transferred["kwi_term_ratio"] == pytest.approx(5 / 1002)
    assert kwi["risk_paper"] == 2.308 and kwi["term_paper"] == 8.878e-4
    # After training the paper repeats the risks of its Tables 1 and 2.
    assert table.loc[("after", "kwi"), "risk_paper"] == 0.1225
    assert table.loc[("after", "t-hmwi"), "risk_paper"] == 0.04880
    assert table.loc[("after", "t-hmwi"), "term_paper"] == 5.561e-4
    assert "T(HMWI)" in text and "(0.0488)" in text


def test_ratios_of_the_paper_stand_at_depth_20(equals: list[Path]) -> None:
    statistics = read_statistics(equals).assign(depth=20)
    evaluations = pd.concat(pd.read_csv(folder / "evaluation.csv") for folder in equals)
    table = table4(evaluations.assign(depth=20), statistics, read_paper(PAPER))
    before = table[table["moment"] == "before"].set_index("initialisation")
    assert before.loc["kwi", "risk_over_term_paper"] == 4281
    assert before.loc["t-hmwi", "kwi_term_ratio_paper"] == 268
    text = table4_markdown(table)
    assert "4600 (4281)" in text and "0.00499 (268)" in text


def test_a_diverged_run_counts_in_no_mean(equals: list[Path]) -> None:
    evaluation = pd.read_csv(equals[1] / "evaluation.csv")
    evaluation.loc[evaluation["snapshot"] == "final", ["status", "risk"]] = ["diverged", math.nan]
    csvfile.write(equals[1] / "evaluation.csv", evaluation)
    evaluations = pd.concat(pd.read_csv(folder / "evaluation.csv") for folder in equals)
    table = table4(evaluations, read_statistics(equals), read_paper(PAPER))
    after = table[table["moment"] == "after"].set_index("initialisation")
    assert after.loc["kwi", "diverged"] == 1 and after.loc["kwi", "term_mean"] == 8e-4
    assert "2 (1 diverged)" in table4_markdown(table)


def test_a_damaged_file_is_named(folders: list[Path]) -> None:
    csvfile.write(folders[0] / "weight_statistics.csv", pd.DataFrame(columns=["snapshot", "view"]))
    with pytest.raises(ResnoiseError, match=r"weight_statistics\.csv: no column group"):
        read_statistics(folders[:1])
    (folders[0] / "weight_statistics.csv").unlink()
    with pytest.raises(ResnoiseError, match="weight_statistics"):
        read_statistics(folders)


def test_figure7_draws_weights_that_have_exploded(folders: list[Path]) -> None:
    """Equally spaced bins between them would need more memory than there is."""
    data = figure7.read(folders)
    after = data["moment"] == "after"
    far = data[after].assign(low=data["low"] * 1e12, high=data["low"] * 1e12)
    axes = figure7.draw(pd.concat([data, far]), table3(read_statistics(folders), {}), 800, 0.7).axes
    for group, axis in zip(("all", "all", "id", "id"), axes, strict=True):
        most = data.loc[data["group"] == group, "count"].max()
        for patch in axis.patches:
            values = patch.get_data().values
            assert values.max() <= most and len(values) <= 4 * len(data)
    plt.close("all")


def test_histograms_hold_each_value_whatever_its_size() -> None:
    values = np.array([0.01, 0.011, -1e30, 1e300, np.inf, np.nan])
    bins = histogram_counts(values, 0.02)
    assert [count for _, _, count in bins] == [1, 2, 1]
    assert bins[0][0] == pytest.approx(-1e30) and bins[1][:2] == (0, 0.02)


def test_figure7_clips_all_weights_and_notes_its_numbers(
    folders: list[Path], tmp_path: Path
) -> None:
    data = figure7.read(folders)
    figure = figure7.draw(data, table3(read_statistics(folders), {}), 800, 0.7)
    above, below = figure.axes[:2], figure.axes[2:]
    assert [axis.get_ylim() for axis in above] == [(0, 800)] * 2
    # Nothing of the ID entries is cut off.
    assert all(axis.get_ylim()[1] > 8 for axis in below)
    notes = [[text.get_text() for text in axis.texts] for axis in figure.axes]
    assert notes[0] == ["above 0.7:\n$p$ 6\n$T(r)$ 21"]
    assert notes[3] == ["mode:\n$p$ 0.04\n$T(r)$ 0.14"]
    plt.close(figure)

    files = [tmp_path / f"figure7.{kind}" for kind in ("pdf", "png", "csv")]
    histograms = [folder / "weight_histogram.csv" for folder in folders]
    figure7.make(histograms, clip=800, id_threshold=0.7).save(*files)
    assert all(file.stat().st_size > 100 for file in files)
    written = pd.read_csv(files[2])
    pd.testing.assert_frame_equal(written, data, check_dtype=False)
    # Means over the two plain runs, not sums.
    own = written.set_index(["group", "moment", "network", "low"])["count"]
    assert own["all", "before", "p", 1.0] == 4 and own["id", "after", "transferred", 1.0] == 8
