"""Finished runs of other results folders: taken as they are, told apart from those trained here."""

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from resnoise import provenance
from resnoise.config import load as config
from resnoise.data import dataset
from resnoise.data.dataset import Dataset
from resnoise.data.prepare import prepare
from resnoise.errors import ResnoiseError
from resnoise.plan.specs import recipe_spec
from resnoise.specs.run import RUN_FILES, TRAINED_ON, DataSpec, NetworkSpec, RunSpec
from resnoise.storage import tensorfile
from resnoise.storage.digests import read_json, write_json
from resnoise.storage.identity import check_beside
from resnoise.storage.store import Store
from resnoise.trained import beginning
from resnoise.trained.adopt import adopt
from resnoise.trained.beginning import NORMS
from resnoise.trained.record import read_all_weights, read_record
from resnoise.trained.taken import take
from resnoise.training.checkpoint import flatten, unflatten
from resnoise.training.loop import train
from resnoise.training.run import RunFiles

RECIPE = dataclasses.replace(recipe_spec(config.load({}), "plain"), epochs=1, batch_size=20)
SPEC = RunSpec(NetworkSpec("plain", 8, 4), "kwi", 1, RECIPE)
OTHER_CODE = dataclasses.replace(RECIPE, conv_backend="torch")
KEPT = dataclasses.replace(SPEC, recipe=dataclasses.replace(OTHER_CODE, snapshot_epochs=(1,)))


def pictures(folder: Path, test_per_class: int) -> Dataset:
    samples, digest = prepare(DataSpec("digits", None, 5, test_per_class, 0), None)
    dataset.save(folder / "data.safetensors", samples, digest)
    return dataset.load(folder / "data.safetensors")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("results")
    data = pictures(folder, 5)
    for name, spec in (("run", SPEC), ("kept", KEPT)):
        files = RunFiles.in_folder(folder / name)
        train([spec], data, [files], device="cpu", threads=1, code="code")
    return folder / "run"


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Other pictures than those that it was trained on."""
    return pictures(tmp_path_factory.mktemp("other"), 6)


@pytest.fixture
def source(trained: Path, tmp_path: Path) -> Path:
    """A copy of it, to change at will."""
    return shutil.copytree(trained, tmp_path / "source")


def test_a_taken_run_is_one_of_these_pictures_and_says_where_it_was_trained(
    source: Path, other: Dataset, tmp_path: Path
) -> None:
    taken = tmp_path / "taken"
    take(source, taken, SPEC, other)
    before, now = (read_json(folder / "run.json") for folder in (source, taken))
    assert now[TRAINED_ON] == before["data_digest"]
    record = read_record(taken / "run.json", other.digest, SPEC)
    assert record.identity == {"spec": SPEC.to_json(), "data": other.digest, "code": "code"}
    check_beside(taken / "history.csv")
    assert (taken / "history.csv").read_bytes() == (source / "history.csv").read_bytes()
    original = read_record(source / "run.json", before["data_digest"], SPEC)
    for kind, arrays in read_all_weights(taken, record).items():
        for name, array in read_all_weights(source, original)[kind].items():
            np.testing.assert_array_equal(arrays[name], array)
    # Taken once more, it says where it was trained, not where it was taken from.
    take(taken, tmp_path / "again", SPEC, dataclasses.replace(other, digest="e" * 64))
    assert read_json(tmp_path / "again" / "run.json")[TRAINED_ON] == before["data_digest"]


def test_another_run_is_refused_by_name(source: Path, other: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ResnoiseError, match="with seed 1 instead of 2; ask for the same"):
        take(source, tmp_path / "taken", dataclasses.replace(SPEC, seed=2), other)
    assert not (tmp_path / "taken").exists()


def labels(folder: Path) -> set[str]:
    """The moments of training whose weights are in a folder."""
    return {*unflatten(snapshots(folder))}


def test_what_was_kept_and_who_computed_it_make_no_other_run(
    trained: Path, source: Path, other: Dataset, tmp_path: Path
) -> None:
    kept = trained.with_name("kept")
    take(kept, tmp_path / "fewer", SPEC, other)
    take(kept, tmp_path / "all", KEPT, other)
    assert labels(tmp_path / "fewer") == {"initial", "iteration1"}
    assert labels(tmp_path / "all") == {"initial", "iteration1", "epoch1"}
    record = read_record(tmp_path / "fewer" / "run.json", other.digest, SPEC)
    read_all_weights(tmp_path / "fewer", record)
    with pytest.raises(ResnoiseError, match="kept no weights epoch1; leave these epochs out"):
        take(source, tmp_path / "more", KEPT, other)
    assert not (tmp_path / "more").exists()


def without_beginning(source: Path, norms: dict[str, float]) -> None:
    """Remove the weights before training from a run, as publishing it does."""
    facts = read_json(source / "run.json")
    record = read_record(source / "run.json", facts["data_digest"])
    kept = read_all_weights(source, record)["snapshots"]
    groups = unflatten({name: array.copy() for name, array in kept.items()})
    del groups["initial"]
    file = source / "snapshots.safetensors"
    facts["files"]["snapshots"] = tensorfile.save(file, flatten(groups), record.identity)
    write_json(source / "run.json", {**facts, NORMS: norms})


def norms(source: Path) -> dict[str, float]:
    """The norms of the weights before training in the folder of a run."""
    return beginning.norms(unflatten(snapshots(source))["initial"])


def snapshots(source: Path) -> dict[str, np.ndarray]:
    """The weights before and during training in the folder of a run."""
    return tensorfile.load(source / "snapshots.safetensors")[0]


@pytest.mark.parametrize("spec", [SPEC, KEPT])
def test_weights_before_training_are_made_again(
    spec: RunSpec, trained: Path, other: Dataset, tmp_path: Path
) -> None:
    original = trained if spec is SPEC else trained.with_name("kept")
    source = shutil.copytree(original, tmp_path / "source")
    without_beginning(source, norms(source))
    take(source, tmp_path / "taken", spec, other)
    before, now = (snapshots(folder) for folder in (original, tmp_path / "taken"))
    assert before.keys() == now.keys()
    for name, array in before.items():
        np.testing.assert_array_equal(now[name], array)


def test_another_beginning_than_that_of_the_run_is_refused(
    source: Path, other: Dataset, tmp_path: Path
) -> None:
    right = norms(source)
    without_beginning(source, right | {"fc.weight": right["fc.weight"] * (1 + 1e-5)})
    with pytest.raises(ResnoiseError, match=r"from other weights than .* \(such as fc.weight\)"):
        take(source, tmp_path / "taken", SPEC, other)
    write_json(source / "run.json", {**read_json(source / "run.json"), NORMS: {}})
    with pytest.raises(ResnoiseError, match="from other weights than"):
        take(source, tmp_path / "taken", SPEC, other)
    facts = read_json(source / "run.json")
    del facts[NORMS]
    write_json(source / "run.json", facts)
    with pytest.raises(ResnoiseError, match="kept no weights of before training"):
        take(source, tmp_path / "taken", SPEC, other)
    assert not (tmp_path / "taken").exists()


@pytest.mark.parametrize("name", RUN_FILES)
def test_a_damaged_or_missing_file_is_named(
    name: str, source: Path, other: Dataset, tmp_path: Path
) -> None:
    file = source / name
    content = bytearray(file.read_bytes())
    # In the digest of history.csv.sha256, not in the comment before it.
    content[-20] ^= 1
    file.write_bytes(content)
    for _ in range(2):
        with pytest.raises(ResnoiseError, match=name.removesuffix(".sha256")):
            take(source, tmp_path / "taken", SPEC, other)
        assert not (tmp_path / "taken").exists()
        file.unlink(missing_ok=True)


def test_a_taken_run_is_none_that_was_trained_here(
    source: Path, other: Dataset, tmp_path: Path
) -> None:
    store = Store(tmp_path / "store")
    take(source, tmp_path / "taken", SPEC, other)
    assert adopt([tmp_path / "taken" / "run.json"], store) == 0
    assert adopt([source / "run.json"], store) == 1


def test_the_script_says_from_where_and_of_which_pictures(source: Path, tmp_path: Path) -> None:
    pictures(tmp_path, 6)
    command = [sys.executable, provenance.SCRIPTS / "take.py", "--spec", SPEC.to_json()]
    command += ["--data", tmp_path / "data.safetensors", "--finished", source / "run.json"]
    command += ["--record", tmp_path / "taken" / "run.json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"taken from {source}, trained on OTHER PICTURES" in done.stderr
    assert {file.name for file in (tmp_path / "taken").iterdir()} == {*RUN_FILES}
