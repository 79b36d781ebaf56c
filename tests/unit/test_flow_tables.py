"""The ratios of figure 12, figures 10 and 12 and what a run's measurement writes."""

import dataclasses
import math
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from resnoise.config import load as config
from resnoise.config.schema import SCHEMA_PATH
from resnoise.data.dataset import Dataset
from resnoise.devices import Computing
from resnoise.errors import ResnoiseError
from resnoise.figures import figure10, figure12
from resnoise.initialisations import initialise
from resnoise.metrics.gradient_flow import measure_run, snapshots
from resnoise.networks import build
from resnoise.plan.specs import run_spec
from resnoise.specs.flow import READINGS, last_shallow
from resnoise.specs.metrics import GradientFlowSpec
from resnoise.storage import csvfile
from resnoise.summaries import gradient_flow as gradient_flows
from resnoise.summaries.published import read_paper
from resnoise.tables.gradient_flow import ratios, ratios_markdown
from resnoise.trained.run import TrainedRun

PAPER = read_paper(SCHEMA_PATH.with_name("paper.yaml"))
SPEC = GradientFlowSpec(samples=6, sample_seed=0, precision="float64", epochs=(1,))


def dataset() -> Dataset:
    numbers = np.random.default_rng(0)
    images = numbers.integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    labels = np.arange(20) % 4
    statistics = np.full(3, 0.5), np.full(3, 0.3)
    return Dataset(images, labels, images, labels, ("a", "b", "c", "d"), *statistics, "s", "d")


def trained_run(architecture: str, status: str = "done", seed: int = 1) -> TrainedRun:
    loaded = config.load(
        {
            "networks": {"width": 4},
            "training": {
                "simplified": {"epochs": 3, "batch_size": 8},
                "fully_fledged": {"epochs": 3, "batch_size": 8},
            },
        }
    )
    spec = run_spec(loaded, architecture, 8, "kwi", seed)
    weights = {}
    for place, label in enumerate(("initial", "iteration1", "epoch1", "final")):
        net = build(spec.network, 4)
        initialise(net, "kwi", 10 * seed + place)
        weights[label] = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
    return TrainedRun(spec, status, weights, dataset(), {})


def measured(run: TrainedRun, folder: Path, spec: GradientFlowSpec = SPEC) -> tuple[Path, Path]:
    name = run.spec.network.architecture
    files = folder / f"{name}-{run.spec.seed}.csv", folder / f"{name}-{run.spec.seed}-features.csv"
    measure_run(run, spec, files, Computing("cpu"))
    return files


@pytest.fixture(scope="module")
def flows(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("flows")
    runs = [trained_run(name) for name in ("plain", "residual", "full-plain", "full-residual")]
    runs.append(trained_run("residual", seed=2))
    return [measured(run, folder)[0] for run in runs]


def test_a_measurement_has_a_row_for_each_snapshot_and_layer(flows: list[Path]) -> None:
    table = pd.read_csv(flows[1])
    assert len(table) == 4 * 3 * 6
    assert list(table["reading"].unique()) == [*READINGS]
    everything = table[table["snapshot"] == "iteration1"]
    assert not everything.groupby("layer")["f_mean"].nunique().eq(1).all()
    table = table[table["reading"] == "set"]
    first = table[table["snapshot"] == "iteration1"]
    assert list(first["place"]) == ["block output"] * 6
    assert list(first["layer"]) == [1, 2, 3, 4, 5, 6]
    assert list(first["group"]) == [1, 1, 1, 2, 2, 3]
    assert list(first["channels"]) == [4, 4, 4, 8, 8, 16]
    # 20 pictures in batches of 8 are 3 iterations.
    assert list(table["epoch"].unique()) == pytest.approx([0, 1 / 3, 1, 3])
    # f of a picture is a multiple of 1 / channels, and a mean over 6 pictures.
    shares = table["f_mean"] * table["channels"] * 6
    assert shares.to_numpy() == pytest.approx(shares.round().to_numpy(), abs=1e-9)
    assert (table["f_mean_error"] > 0).any()


def test_paths_are_counted_by_the_other_readings(flows: list[Path]) -> None:
    """F of a picture is a multiple of 1 / 16, the number of paths, in every layer."""
    table = pd.read_csv(flows[1])
    for reading in ("single", "carriers"):
        shares = table.loc[table["reading"] == reading, "f_mean"] * 16 * 6
        assert shares.to_numpy() == pytest.approx(shares.round().to_numpy(), abs=1e-9)


def test_every_other_layer_of_a_fully_fledged_network_is_inside_a_block(flows: list[Path]) -> None:
    rows = gradient_flows.read(flows)
    full = rows[(rows["architecture"] == "full-residual") & (rows["reading"] == "set")]
    places = full.drop_duplicates("layer").set_index("layer")["place"]
    assert places.to_dict() == {
        layer: "block output" if layer % 2 else "inside block" for layer in range(1, 7)
    }
    outputs = gradient_flows.of_layers(rows, "block-outputs", "set")
    assert set(outputs.loc[outputs["family"] == "fully_fledged", "layer"]) == {1, 3, 5}
    assert set(outputs.loc[outputs["family"] == "simplified", "layer"]) == {1, 2, 3, 4, 5, 6}


def test_a_diverged_run_has_no_final_rows_and_missing_weights_are_named(tmp_path: Path) -> None:
    diverged = trained_run("plain", "diverged")
    assert list(snapshots(diverged, SPEC)) == ["initial", "iteration1", "epoch1"]
    with pytest.raises(ResnoiseError, match="kept no weights epoch2, only initial, iteration1"):
        snapshots(trained_run("plain"), dataclasses.replace(SPEC, epochs=(2,)))
    with pytest.raises(ResnoiseError, match="samples: 21 given, allowed: at most the 20"):
        measured(trained_run("plain"), tmp_path, dataclasses.replace(SPEC, samples=21))


def test_weights_without_finite_gradients_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = trained_run("plain")
    run.weights["final"]["fc.weight"][0, 0] = np.nan
    flow, features = measured(run, tmp_path)
    assert "final: the weights give no finite gradients" in caplog.text
    table = pd.read_csv(flow)
    lost = table["snapshot"] == "final"
    assert (table.loc[lost, "state"] == "exploded").all()
    assert table.loc[lost, "f_mean"].isna().all() and table.loc[~lost, "f_mean"].notna().all()
    assert set(figure10.read([features])["snapshot"]) == {"iteration1"}


def test_a_dead_network_is_named_and_counts_in_no_ratio(flows: list[Path], tmp_path: Path) -> None:
    run = trained_run("plain")
    run.weights["final"]["layer2.0.conv.bias"][:] = -1e6
    flow, features = measured(run, tmp_path)
    own = gradient_flows.of_layers(gradient_flows.read([flow, flows[1]]), "all", "set")
    rows = gradient_flows.over_seeds(own)
    final = rows[(rows["snapshot"] == "final") & (rows["architecture"] == "plain")]
    # No gradient reaches the layers before it, and nothing of the picture those behind it.
    assert list(final["state"]) == ["dead"] * 6
    assert final["f_mean"].isna().all() and (final["seeds"] == 0).all()
    table = ratios(rows, PAPER["gradient_flow"], 1 / 3).set_index(["layers", "stage"])
    assert np.isnan(table.loc[("G1", "final"), ["f_mean_residual", "f_mean_plain"]].tolist()).all()
    assert table.loc[("G1", "training"), "f_mean_ratio"] > 0
    figure = figure12.draw(rows)
    figure.canvas.draw()
    for kind in ("pdf", "png"):
        figure10.make([features]).figure.savefig(tmp_path / f"figure10.{kind}")
    plt.close("all")


def test_figure10_is_drawn_without_entries_and_for_equal_ones(tmp_path: Path) -> None:
    columns = ["depth", "seed", "snapshot", "value"]
    equal = pd.DataFrame([[8, 1, "final", 0.5]] * 9, columns=columns)
    for entries, rows in ((equal.iloc[:0], 0), (equal, 1)):
        drawing = figure10.drawing(entries)
        assert len(drawing.tables[0]) == rows
        drawing.save(*(tmp_path / f"f.{kind}" for kind in ("pdf", "png", "csv")))
    assert pd.read_csv(tmp_path / "f.csv")["skewness"].isna().all()


def test_features_are_written_for_the_first_and_the_last_iteration(tmp_path: Path) -> None:
    _, features = measured(trained_run("residual"), tmp_path)
    table = figure10.read([features])
    assert table.groupby("snapshot").size().to_dict() == {"iteration1": 96, "final": 96}
    fits = figure10.fits(table).set_index("snapshot")
    values = table.loc[table["snapshot"] == "final", "value"]
    assert fits.loc["final", "mean"] == pytest.approx(values.mean())
    assert fits.loc["final", "standard_deviation"] == pytest.approx(values.std(ddof=0))
    files = [tmp_path / f"figure10.{kind}" for kind in ("pdf", "png", "csv")]
    figure10.drawing(table).save(*files)
    assert files[0].read_bytes()[:4] == b"%PDF"
    figure10.drawing(table).save(tmp_path / "again.pdf", tmp_path / "again.png", files[2])
    assert (tmp_path / "again.pdf").read_bytes() == files[0].read_bytes()


def test_ratios_are_those_of_means_over_layers_and_time(flows: list[Path]) -> None:
    read = gradient_flows.read(flows)
    rows = gradient_flows.over_seeds(gradient_flows.of_layers(read, "all", "carriers"))
    assert set(rows.loc[rows["architecture"] == "residual", "seeds"]) == {2}
    # Layers 1 and 2 of 6 are shallow.
    table = ratios(rows, PAPER["gradient_flow"], 0.25)
    table = table.set_index(["family", "layers", "stage"])
    frames = [pd.read_csv(file) for file in (flows[1], flows[4])]

    def mean(frame: pd.DataFrame, snapshot: str) -> float:
        chosen = frame[frame["reading"] == "carriers"]
        deep = chosen[(chosen["snapshot"] == snapshot) & (chosen["layer"] > 2)]
        return float(deep["f_mean"].mean())

    residual = {
        stage: sum(mean(frame, stage) for frame in frames) / 2
        for stage in ("iteration1", "epoch1", "final")
    }
    plain = {stage: mean(pd.read_csv(flows[0]), stage) for stage in residual}
    # At the times 1/3, 1 and 3.
    averages = [
        (1 / 3 * (f["iteration1"] + f["epoch1"]) + f["epoch1"] + f["final"]) / (8 / 3)
        for f in (residual, plain)
    ]
    row = table.loc[("simplified", "deep", "training")]
    assert row["f_mean_residual"] == pytest.approx(averages[0])
    assert row["f_mean_ratio"] == pytest.approx(averages[0] / averages[1])
    assert row["ratio_paper"] == 4.06
    last = table.loc[("simplified", "deep", "final")]
    assert last["f_mean_ratio"] == pytest.approx(residual["final"] / plain["final"])
    assert math.isnan(last["ratio_paper"])
    wide = ratios(rows, PAPER["gradient_flow"], 0.7).set_index(["family", "layers", "stage"])
    assert tuple(wide.loc[("simplified", "deep", "final"), ["first", "last"]]) == (6, 6)
    text = ratios_markdown(table.reset_index())
    assert "(1.24)" in text
    assert "(3.07)" in text


def test_a_flow_of_nearly_nothing_is_no_denominator(flows: list[Path]) -> None:
    read = gradient_flows.read(flows)
    rows = gradient_flows.over_seeds(gradient_flows.of_layers(read, "all", "set"))
    rows.loc[~rows["residual"], "f_median"] = 1e-5
    table = ratios(rows, PAPER["gradient_flow"], 0.5)
    assert table["f_median_ratio"].isna().all() and table["f_mean_ratio"].notna().all()
    for line in ratios_markdown(table).splitlines():
        if line.startswith("| simplified"):
            assert [cell.strip() for cell in line.split("|")[-3:-1]] == ["0.000", "-"], line


@pytest.mark.parametrize(
    ("depth", "share", "last"), [(32, 0.5, 16), (20, 0.35, 7), (100, 0.29, 29)]
)
def test_shallow_layers_end_at_a_share_of_the_depth(depth: int, share: float, last: int) -> None:
    assert last_shallow(depth, share) == last


def test_a_file_that_is_no_measurement_is_named(tmp_path: Path) -> None:
    file = tmp_path / "flow.csv"
    with pytest.raises(ResnoiseError, match=r"flow\.csv: cannot be read"):
        gradient_flows.read([file])
    csvfile.write(file, pd.DataFrame({"layer": [1], "epoch": [2]}))
    with pytest.raises(ResnoiseError, match=r"flow\.csv: no column architecture, "):
        gradient_flows.read([file])


def test_figure12_draws_what_its_csv_holds(flows: list[Path], tmp_path: Path) -> None:
    read = gradient_flows.read(flows)
    rows = gradient_flows.over_seeds(gradient_flows.of_layers(read, "all", "single"))
    figure = figure12.draw(rows)
    first = figure.axes[0]
    lines = {str(line.get_label()): line for line in first.get_lines()}
    part = rows[(rows["architecture"] == "residual") & (rows["snapshot"] == "final")]
    assert lines["residual, last iteration"].get_ydata() == pytest.approx(part["f_mean"].to_numpy())
    assert len(figure.axes) == 6
    files = [tmp_path / f"figure12.{kind}" for kind in ("pdf", "png", "csv")]
    figure12.make(flows, reading="single", layers="all").save(*files)
    assert len(pd.read_csv(files[2])) == len(rows)
    one_family = rows[rows["family"] == "simplified"]
    assert len(figure12.draw(one_family).axes) == 3
