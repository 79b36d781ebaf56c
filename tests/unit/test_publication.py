"""What is published of a results folder: all numbers, weights of some runs, and what they are."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from resnoise.config import load as config
from resnoise.data import dataset
from resnoise.data.prepare import prepare
from resnoise.devices import Computing
from resnoise.errors import ResnoiseError
from resnoise.metrics.evaluation import measure_run
from resnoise.plan.specs import recipe_spec
from resnoise.publication import publish
from resnoise.specs.metrics import EvaluationSpec
from resnoise.specs.run import RUN_FILES, DataSpec, NetworkSpec, RunSpec
from resnoise.storage import csvfile, tensorfile
from resnoise.storage.digests import check_csv, digest_file, read_json
from resnoise.storage.pages import read_page
from resnoise.trained import run as trained
from resnoise.trained.taken import take
from resnoise.training.checkpoint import unflatten
from resnoise.training.loop import train
from resnoise.training.run import RunFiles

RECIPE = dataclasses.replace(recipe_spec(config.load({}), "plain"), epochs=2, batch_size=20)


def spec(seed: int) -> RunSpec:
    """A run that keeps its weights after an epoch."""
    recipe = dataclasses.replace(RECIPE, snapshot_epochs=(seed,))
    return RunSpec(NetworkSpec("plain", 8, 4), "kwi", seed, recipe)


FIRST, SECOND = spec(1), spec(2)
NAMES = {"plain-8/kwi/seed1": FIRST, "plain-8/kwi/seed2": SECOND}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with two runs, one of them with a gradient flow."""
    results = tmp_path_factory.mktemp("results")
    samples, digest = prepare(DataSpec("digits", None, 5, 5, 0), None)
    dataset.save(results / "data.safetensors", samples, digest)
    pictures = dataset.load(results / "data.safetensors")
    for name, run_spec in NAMES.items():
        folder = results / "runs" / name
        files = RunFiles.in_folder(folder)
        train([run_spec], pictures, [files], device="cpu", threads=1, code="code")
        outputs = [folder / "evaluation.csv"]
        run = trained.read(folder, pictures)
        measure_run(run, EvaluationSpec(), outputs, Computing("cpu"))
    table = pd.DataFrame({"depth": [8], "risk": [0.5]})
    for file in ("table1.csv", "conjecture/dose.csv", "metrics/margin.csv"):
        csvfile.write(results / file, table)
    csvfile.write(results / "runs" / "plain-8/kwi/seed1" / "gradient_flow.csv", table)
    for file in ("table1.md", "figure3.png", "report.html", "configuration.yaml"):
        (results / file).write_text(file)
    return results


@pytest.fixture
def results(finished: Path, tmp_path: Path) -> Path:
    """A copy of it, to change at will."""
    return shutil.copytree(finished, tmp_path / "results")


def test_all_numbers_are_there_and_neither_pictures_nor_pages(
    finished: Path, tmp_path: Path
) -> None:
    publish(finished, tmp_path / "published", None)
    files = {
        file.relative_to(tmp_path / "published").as_posix()
        for file in (tmp_path / "published").rglob("*")
        if file.is_file()
    }
    tables = ("table1.csv", "conjecture/dose.csv", "metrics/margin.csv")
    of_run = (*RUN_FILES, "evaluation.csv", "evaluation.csv.sha256")
    assert files == {
        *("README.md", "configuration.yaml", "table1.md"),
        *(f"{table}{suffix}" for table in tables for suffix in ("", ".sha256")),
        *(f"runs/{name}/{file}" for name in NAMES for file in of_run),
    }
    for table in files:
        if table.endswith(".csv"):
            check_csv(tmp_path / "published" / table)
            assert (tmp_path / "published" / table).read_bytes() == (finished / table).read_bytes()


def test_a_published_run_is_taken_as_the_original_is(finished: Path, tmp_path: Path) -> None:
    publish(finished, tmp_path / "published", None)
    pictures = dataset.load(finished / "data.safetensors")
    for name, run_spec in NAMES.items():
        during = {"iteration1", "epoch1"} if run_spec is FIRST else {"epoch2"}
        published = tmp_path / "published" / "runs" / name
        assert {*unflatten(tensorfile.load(published / "snapshots.safetensors")[0])} == during
        take(published, tmp_path / "taken" / name, run_spec, pictures)
        original = trained.read(finished / "runs" / name, pictures)
        taken = trained.read(tmp_path / "taken" / name, pictures)
        assert {*taken.weights} == {"initial", "final"} | during
        for label, weights in taken.weights.items():
            for key, array in weights.items():
                np.testing.assert_array_equal(array, original.weights[label][key])


def test_weights_are_those_of_the_runs_that_are_named(results: Path, tmp_path: Path) -> None:
    runs = publish(results, tmp_path / "one", ["plain-8/kwi/seed2"])
    assert [(run.name, run.weights) for run in runs] == [
        ("plain-8/kwi/seed1", ()),
        ("plain-8/kwi/seed2", ("epoch2", "final")),
    ]
    found = {file.parent.name for file in (tmp_path / "one").rglob("*.safetensors")}
    assert found == {"seed2"}
    record = read_json(results / "runs/plain-8/kwi/seed1/run.json")
    assert read_json(tmp_path / "one/runs/plain-8/kwi/seed1/run.json") == record
    # Without any weights, nothing needs the pictures.
    (results / "data.safetensors").unlink()
    publish(results, tmp_path / "none", [])
    assert not [*(tmp_path / "none").rglob("*.safetensors")]
    with pytest.raises(ResnoiseError, match=r"data\.safetensors: no such file"):
        publish(results, tmp_path / "all", None)


def test_weights_of_epochs_can_be_left_out(finished: Path, tmp_path: Path) -> None:
    runs = publish(finished, tmp_path / "small", None, epochs=False)
    assert [run.weights for run in runs] == [("iteration1", "final"), ("final",)]


def test_the_page_says_what_was_trained_how_long_on_which_machine(
    finished: Path, tmp_path: Path
) -> None:
    runs = publish(finished, tmp_path / "published", [], note="From JPEG copies of the pictures.")
    page = read_page(tmp_path / "published" / "README.md")
    assert page.startswith("# Published results\n\nFrom JPEG copies of the pictures.\n\nMade by")
    record = read_json(finished / "runs/plain-8/kwi/seed1/run.json")
    assert record["data_digest"] in page
    session = record["sessions"][-1]
    line = next(line for line in page.splitlines() if "plain-8/kwi/seed1" in line)
    for text in (session["processor"], session["packages"]["torch"]):
        assert text in line
    table = pd.read_csv(finished / "runs/plain-8/kwi/seed1/evaluation.csv")
    assert runs[0].final["risk"] == table.set_index("snapshot")["risk"]["final"]
    assert f"{runs[0].final['risk']:.4g}" in line


def test_mistakes_are_named_and_nothing_is_written_over(results: Path, tmp_path: Path) -> None:
    with pytest.raises(ResnoiseError, match="no finished run plain-9/kwi/seed1, there are: plain"):
        publish(results, tmp_path / "published", ["plain-9/kwi/seed1"])
    with pytest.raises(ResnoiseError, match="not a results folder"):
        publish(results / "metrics", tmp_path / "published", None)
    assert not (tmp_path / "published").exists()
    (tmp_path / "mine").write_text("mine")
    for taken in (results, tmp_path / "mine"):
        with pytest.raises(ResnoiseError, match="there is something, needed: a new or an empty"):
            publish(results, taken, None)
    assert (tmp_path / "mine").read_text() == "mine"
    with pytest.raises(ResnoiseError, match=r"published: cannot be written \("):
        publish(results, tmp_path / "mine" / "published", None)


def test_what_is_damaged_is_not_published(results: Path, tmp_path: Path) -> None:
    (results / "table1.csv").write_text("depth,risk\n8,0.4\n")
    with pytest.raises(ResnoiseError, match=r"table1\.csv: "):
        publish(results, tmp_path / "first", None)
    assert [file.name for file in tmp_path.iterdir()] == ["results"]
    for file in (results / "table1.csv", digest_file(results / "table1.csv")):
        file.unlink()
    publish(results, tmp_path / "second", None)
    shutil.copy(
        results / "runs/plain-8/kwi/seed2/evaluation.csv", results / "runs/plain-8/kwi/seed1"
    )
    with pytest.raises(ResnoiseError, match=r"seed1/evaluation\.csv: "):
        publish(results, tmp_path / "third", None)


def test_a_run_that_this_version_would_begin_otherwise_is_not_published_with_weights(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resnoise.initialisations.initialise", lambda network, *_: None)
    with pytest.raises(ResnoiseError, match="seed1: this version of the project starts this run"):
        publish(results, tmp_path / "published", None)
