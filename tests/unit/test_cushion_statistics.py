"""Tables and figures of layer cushions: counts against brute force, bootstrap, files."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from numpy.typing import NDArray

from resnoise.errors import ResnoiseError
from resnoise.figures import figure3, figure3_snapshots
from resnoise.storage.digests import csv_path, write_json
from resnoise.storage.pages import read_page
from resnoise.summaries.layer_cushion import (
    Comparison,
    Cushions,
    compare,
    count_table,
    layer_table,
    read_cushions,
    read_final,
    residual_shares,
)
from resnoise.tables import layer_cushion as cushion_tables

NAMES = ("conv1", "layer1.0.conv", "fc")
PAPER = "layer_cushion:\n  exceptions: {8: 2}\n"


def cushions(kind: str, values: NDArray[np.float64], seed: int = 1, depth: int = 8) -> Cushions:
    names = tuple(f"l{i}" for i in range(values.shape[1]))
    return Cushions(kind, depth, seed, names, np.arange(len(values)), values)


def random_comparison(seed: int, runs: tuple[int, int], pictures: int = 7) -> Comparison:
    """Return runs with three layers, some values undefined, some equal."""
    generator = np.random.default_rng(seed)
    found = []
    for kind, count in zip(("plain", "residual"), runs, strict=True):
        for number in range(count):
            values = generator.integers(1, 5, (pictures, 3)).astype(float)
            values[generator.random((pictures, 3)) < 0.1] = np.nan
            found.append(cushions(kind, values, number))
    (comparison,) = compare(found)
    return comparison


def brute_share(comparison: Comparison, layer: int) -> float:
    points = []
    for plain in comparison.plain:
        for residual in comparison.residual:
            for p, r in zip(plain.values[:, layer], residual.values[:, layer], strict=True):
                if not (np.isnan(p) or np.isnan(r)):
                    points.append(1.0 if r > p else 0.5 if r == p else 0.0)
    return float(np.mean(points))


@given(seed=st.integers(0, 2**31), plain=st.integers(1, 3), residual=st.integers(1, 3))
def test_shares_against_brute_force(seed: int, plain: int, residual: int) -> None:
    comparison = random_comparison(seed, (plain, residual), pictures=30)
    shares, _ = residual_shares(comparison)
    expected = [brute_share(comparison, layer) for layer in range(3)]
    np.testing.assert_allclose(shares, expected, rtol=1e-12)


@given(factor=st.floats(0.01, 100), seed=st.integers(0, 1000))
def test_units_do_not_count_and_exchanging_networks_reflects(factor: float, seed: int) -> None:
    comparison = random_comparison(seed, (2, 1), pictures=20)
    shares, _ = residual_shares(comparison)
    scaled = [
        cushions(run.architecture, factor * run.values, run.seed)
        for run in (*comparison.plain, *comparison.residual)
    ]
    np.testing.assert_array_equal(residual_shares(compare(scaled)[0])[0], shares)
    names = comparison.names
    exchanged = Comparison(8, names, comparison.residual, comparison.plain)
    np.testing.assert_allclose(residual_shares(exchanged)[0], 1 - shares, rtol=1e-12)


def test_the_bootstrap_spreads_as_drawing_anew_does() -> None:
    generator = np.random.default_rng(1)
    pictures, replicates = 400, 4000
    plain = cushions("plain", np.ones((pictures, 1)))
    residual = cushions("residual", 1 + generator.normal(0.2, 1, (pictures, 1)))
    (comparison,) = compare([plain, residual])
    shares, drawn = residual_shares(comparison, replicates, seed=3)
    assert drawn.shape == (replicates, 1)
    share = float(shares[0])
    assert drawn.mean() == pytest.approx(share, abs=0.003)
    assert drawn.std() == pytest.approx(np.sqrt(share * (1 - share) / pictures), rel=0.05)
    again = residual_shares(comparison, replicates, seed=3)[1]
    assert np.array_equal(drawn, again)
    assert not np.array_equal(drawn, residual_shares(comparison, replicates, seed=4)[1])


def test_the_bootstrap_draws_runs_too() -> None:
    one = np.ones((50, 1))
    runs = [cushions("plain", one, 1), cushions("plain", 3 * one, 2)]
    (comparison,) = compare([*runs, cushions("residual", 2 * one, 1)])
    shares, drawn = residual_shares(comparison, 1000, seed=0)
    assert shares[0] == 0.5
    # Both plain runs, or one of them twice.
    values, counts = np.unique(drawn, return_counts=True)
    assert list(values) == [0, 0.5, 1]
    np.testing.assert_allclose(counts / 1000, [0.25, 0.5, 0.25], atol=0.06)


def test_tables_hold_minimum_quantiles_and_counts() -> None:
    generator = np.random.default_rng(5)
    base = generator.uniform(1, 2, (200, 4))
    factors = np.array([3.0, 1.0, 0.5, 3.0])
    plain, residual = cushions("plain", base), cushions("residual", base * factors)
    residual.values[:, 1] += np.where(np.arange(200) < 140, 0.01, -0.01)
    comparisons = compare([residual, plain])
    layers = layer_table(comparisons)
    assert list(layers["layer"]) == [1, 2, 3, 4]
    np.testing.assert_allclose(layers["residual_share"], [1, 0.7, 0, 1])
    for kind, run in (("plain", plain), ("residual", residual)):
        np.testing.assert_allclose(layers[f"{kind}_minimum"], run.values.min(0))
        for name, level in (("q05", 5), ("median", 50), ("q95", 95)):
            np.testing.assert_allclose(
                layers[f"{kind}_{name}"], np.percentile(run.values, level, axis=0)
            )
    counts = count_table(comparisons, layers, {8: 2}, replicates=200, confidence=0.95, seed=0)
    (row,) = counts.to_dict("records")
    assert (row["larger"], row["larger_low"], row["larger_high"]) == (3, 3, 3)
    assert (row["clearly_larger"], row["larger_paper"]) == (2, 2)
    assert row["exceptions"] == "l1 l2"
    medians = layers["residual_median"] > layers["plain_median"]
    assert row["larger_by_median"] == medians.sum()
    assert (row["plain_runs"], row["residual_runs"], row["pictures"]) == (1, 1, 200)


def lost_layers() -> list[Comparison]:
    """Return plain networks that are dead in the second layer, and have exploded in the third."""
    values = np.random.default_rng(6).uniform(1, 2, (20, 3))
    plain = values.copy()
    plain[:, 1], plain[:, 2] = np.nan, np.inf
    plain[3, 0] = np.nan
    return compare([cushions("plain", plain), cushions("residual", 2 * values)])


def test_layers_that_are_dead_or_exploded_are_named_and_not_compared() -> None:
    comparisons = lost_layers()
    layers = layer_table(comparisons)
    assert list(layers["plain_state"]) == ["", "dead", "exploded"]
    assert list(layers["residual_state"]) == ["", "", ""]
    assert list(layers["plain_measured"]) == [0.95, 0, 0]
    assert list(layers["plain_minimum"].isna()) == [False, True, True]
    assert list(layers["residual_share"].isna()) == [False, True, True]
    options = {"replicates": 50, "confidence": 0.9, "seed": 0}
    counts = count_table(comparisons, layers, {8: 1}, **options)
    (row,) = counts.to_dict("records")
    assert (row["layers"], row["larger"], row["larger_low"], row["larger_high"]) == (1, 1, 1, 1)
    assert (row["larger_by_median"], row["larger_by_minimum"]) == (1, 1)
    assert (row["exceptions"], row["uncompared"], row["not_compared"]) == ("", 2, "l1 l2")
    text = cushion_tables.markdown(layers, counts, 0.9)
    assert "| l1 " in text and "| dead " in text and "| exploded " in text
    assert "1 of 1, 1 to 1 (paper: 2)" in text
    assert "on 95 % of pictures" in text
    for bad in ("nan", "inf"):
        assert bad not in text


def test_networks_without_a_layer_to_compare_have_no_counts() -> None:
    dead = cushions("plain", np.full((5, 3), np.nan))
    comparisons = compare([dead, cushions("residual", np.ones((5, 3)))])
    layers = layer_table(comparisons)
    counts = count_table(comparisons, layers, {8: 1}, replicates=9, confidence=0.9, seed=0)
    assert counts["layers"].item() == 0
    empty = ["larger", "larger_low", "clearly_larger", "larger_by_median", "larger_by_minimum"]
    assert counts[empty].isna().all().all()
    assert "| - " in cushion_tables.markdown(layers, counts, 0.9)
    figure = figure3.draw(figure3.histograms(comparisons))
    assert figure.axes[0].get_title() == "depth 8: residual larger in 0 of 0 layers"
    assert [text.get_text() for text in figure.axes[0].texts] == ["plain: dead"] * 3
    both = compare([dead, cushions("residual", np.full((5, 3), np.nan))])
    figure3.draw(figure3.histograms(both)).canvas.draw()
    plt.close("all")


def test_figures_name_lost_layers() -> None:
    comparisons = lost_layers()
    figure = figure3.draw(figure3.histograms(comparisons))
    (axis,) = figure.axes
    assert axis.get_title() == "depth 8: residual larger in 1 of 1 layers"
    named = [text.get_text() for text in axis.texts]
    assert named == ["\N{BLACK CIRCLE}", "plain: dead", "plain: exploded"]
    snapshots = figure3_snapshots.draw(figure3_snapshots.summarise({"final": comparisons}))
    (legend,) = snapshots.legends
    assert "plain: dead or exploded" in [text.get_text() for text in legend.texts]
    for one in (figure, snapshots):
        one.canvas.draw()
        plt.close(one)


def test_runs_on_different_pictures_are_refused() -> None:
    runs = [cushions("plain", np.ones((3, 1))), cushions("residual", np.ones((4, 1)))]
    with pytest.raises(ResnoiseError, match="depth 8: layer cushions of different pictures"):
        compare(runs)


def test_runs_of_networks_with_different_layers_are_refused() -> None:
    runs = [cushions("plain", np.ones((3, 1))), cushions("full-residual", np.ones((3, 2)))]
    with pytest.raises(ResnoiseError, match="depth 8: layer cushions of networks with different"):
        compare(runs)


def test_a_depth_with_one_kind_only_is_left_out() -> None:
    runs = [
        cushions("plain", np.ones((3, 1))),
        cushions("residual", np.ones((3, 1))),
        cushions("plain", np.ones((3, 1)), depth=14),
    ]
    assert [comparison.depth for comparison in compare(runs)] == [8]


def write_run(folder: Path, kind: str, seed: int, snapshots: dict[str, float]) -> Path:
    """Write the files of a run whose cushions are multiples of a fixed table."""
    folder.mkdir(parents=True)
    spec: dict[str, Any] = {
        "network": {"architecture": kind, "depth": 8, "width": 4},
        "initialisation": "kwi",
        "seed": seed,
    }
    write_json(folder / "run.json", {"spec": spec})
    with csv_path(folder / "layer_cushion.csv") as path, path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["snapshot", "layer", "name", "sample", "cushion", "state"])
        for snapshot, factor in snapshots.items():
            for layer, name in enumerate(NAMES, start=1):
                for sample in (3, 5, 9, 11):
                    dead = (layer, sample) == (2, 9)
                    value = "" if dead else factor * (layer + sample / 10)
                    writer.writerow([snapshot, layer, name, sample, value, "dead" if dead else ""])
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    runs = tmp_path / "runs"
    return [
        write_run(runs / "p1", "plain", 1, {"initial": 1.0, "epoch1": 1.1, "final": 1.2}),
        # Diverged.
        write_run(runs / "p2", "plain", 2, {"initial": 1.0, "epoch1": 1.1}),
        write_run(runs / "r1", "residual", 1, {"initial": 2.0, "epoch1": 2.1, "final": 2.2}),
    ]


def test_cushions_are_read_as_they_were_written(folders: list[Path]) -> None:
    found = read_cushions(folders[0])
    assert list(found) == ["initial", "epoch1", "final"]
    final = found["final"]
    assert (final.architecture, final.depth, final.seed, final.names) == ("plain", 8, 1, NAMES)
    assert list(final.samples) == [3, 5, 9, 11]
    expected = np.array([[1.2 * (layer + s / 10) for layer in (1, 2, 3)] for s in (3, 5, 9, 11)])
    expected[2, 1] = np.nan
    np.testing.assert_allclose(final.values, expected)


def test_a_file_without_cushions_is_named(folders: list[Path]) -> None:
    with csv_path(folders[0] / "layer_cushion.csv") as path:
        path.write_text("snapshot,layer\nfinal,1\n")
    with pytest.raises(ResnoiseError, match=r"layer_cushion\.csv: not readable as layer cushions"):
        read_cushions(folders[0])
    (folders[1] / "layer_cushion.csv").unlink()
    with pytest.raises(ResnoiseError, match=r"layer_cushion\.csv: cannot be read"):
        read_cushions(folders[1])


def test_the_written_tables_agree(folders: list[Path], tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("layers.csv", "counts.csv", "table.md")]
    options = {"replicates": 50, "confidence": 0.9, "seed": 0}
    cushions = [folder / "layer_cushion.csv" for folder in folders]
    made = cushion_tables.make(cushions, yaml.safe_load(PAPER), **options)
    made.save(files[2], *files[:2])
    text = made.text
    assert read_page(files[2]) == text
    assert "3 of 3, 3 to 3 (paper: 1)" in text
    assert "90 % intervals" in text
    with files[1].open(newline="") as stream:
        (counts,) = csv.DictReader(stream)
    assert (counts["plain_runs"], counts["larger"], counts["pictures"]) == ("1", "3", "4")
    with files[0].open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["name"] for row in rows] == list(NAMES)
    assert float(rows[1]["residual_minimum"]) == pytest.approx(2.2 * 2.3)


def test_figure_3_has_a_histogram_of_each_network_for_each_layer(folders: list[Path]) -> None:
    comparisons = read_final(folders)
    data = figure3.histograms(comparisons)
    for (_, layer, network), rows in data.groupby(["depth", "layer", "network"]):
        assert rows["fraction"].sum() == pytest.approx(1)
        (comparison,) = comparisons
        values = comparison.values(str(network))[:, int(layer) - 1]
        for value in values[np.isfinite(values)]:
            assert ((rows["low"] <= value) & (value <= rows["high"])).any()
    figure = figure3.draw(data)
    (axis,) = figure.axes
    plt.close(figure)
    assert axis.get_xscale() == "log"
    assert axis.get_title() == "depth 8: residual larger in 3 of 3 layers"
    assert len(axis.patches) == 2 * len(NAMES)


def test_snapshots_come_in_the_order_of_training(folders: list[Path]) -> None:
    found = figure3_snapshots.by_snapshot(reversed(folders))
    assert list(found) == ["initial", "epoch1", "final"]
    assert [len(c.plain) for (c,) in found.values()] == [2, 2, 1]
    summary = figure3_snapshots.summarise(found)
    medians = summary[summary["layer"] == 1].set_index("snapshot")["residual_median"]
    assert list(medians / medians["initial"]) == pytest.approx([1, 1.05, 1.1])
    figure = figure3_snapshots.draw(summary)
    assert [axis.get_title() for axis in figure.axes] == [
        "before training",
        "after epoch 1",
        "at the end",
    ]
    plt.close(figure)


def drawings(folders: list[Path], folder: Path) -> Iterator[dict[str, Path]]:
    """Write both figures and yield their files."""
    for name in ("figure3", "figure3_snapshots"):
        files = {kind: folder / f"{name}.{kind}" for kind in ("pdf", "png", "csv")}
        drawn = {"figure3": figure3, "figure3_snapshots": figure3_snapshots}[name]
        drawn.make([file / "layer_cushion.csv" for file in folders]).save(*files.values())
        yield files


def test_the_same_data_gives_the_same_bytes(folders: list[Path], tmp_path: Path) -> None:
    first, second = (list(drawings(folders, tmp_path / name)) for name in ("one", "two"))
    for one, two in zip(first, second, strict=True):
        for kind, file in one.items():
            assert file.read_bytes() == two[kind].read_bytes()
        assert one["pdf"].read_bytes().startswith(b"%PDF")


def test_figures_are_drawn_even_if_every_run_diverged(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / kind, kind, 1, {}) for kind in ("plain", "residual")]
    for files in drawings(runs, tmp_path / "figures"):
        assert files["png"].stat().st_size > 100
    assert isinstance(figure3.draw(figure3.histograms([])), Figure)
    plt.close("all")
