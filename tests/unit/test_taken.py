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
from resnoise.storage.digests import read_json
from resnoise.storage.identity import check_beside
from resnoise.storage.store import Store
from resnoise.trained.adopt import adopt
from resnoise.trained.record import read_all_weights, read_record
from resnoise.trained.taken import take
from resnoise.training.loop import train
from resnoise.training.run import RunFiles

RECIPE = dataclasses.replace(recipe_spec(config.load({}), "plain"), epochs=1, batch_size=20)
SPEC = RunSpec(NetworkSpec("plain", 8, 4), "kwi", 1, RECIPE)
OTHER_DATA = "d" * 64


def pictures(folder: Path, test_per_class: int) -> Dataset:
    samples, digest = prepare(DataSpec("digits", None, 5, test_per_class, 0), None)
    dataset.save(folder / "data.safetensors", samples, digest)
    return dataset.load(folder / "data.safetensors")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("results")
    data = pictures(folder, 5)
    files = RunFiles.in_folder(folder / "run")
    train([SPEC], data, [files], device="cpu", threads=1, code="code")
    return folder / "run"


@pytest.fixture
def source(trained: Path, tmp_path: Path) -> Path:
    """A copy of it, to change at will."""
    return shutil.copytree(trained, tmp_path / "source")


def test_a_taken_run_is_one_of_these_pictures_and_says_where_it_was_trained(
    source: Path, tmp_path: Path
) -> None:
    taken = tmp_path / "taken"
    take(source, taken, SPEC, OTHER_DATA)
    before, now = (read_json(folder / "run.json") for folder in (source, taken))
    assert now[TRAINED_ON] == before["data_digest"]
    record = read_record(taken / "run.json", OTHER_DATA, SPEC)
    assert record.identity == {"spec": SPEC.to_json(), "data": OTHER_DATA, "code": "code"}
    check_beside(taken / "history.csv")
    assert (taken / "history.csv").read_bytes() == (source / "history.csv").read_bytes()
    original = read_record(source / "run.json", before["data_digest"], SPEC)
    for kind, arrays in read_all_weights(taken, record).items():
        for name, array in read_all_weights(source, original)[kind].items():
            np.testing.assert_array_equal(arrays[name], array)
    # Taken once more, it says where it was trained, not where it was taken from.
    take(taken, tmp_path / "again", SPEC, "e" * 64)
    assert read_json(tmp_path / "again" / "run.json")[TRAINED_ON] == before["data_digest"]


def test_another_run_is_refused_by_name(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ResnoiseError, match="with seed 1 instead of 2; ask for the same"):
        take(source, tmp_path / "taken", dataclasses.replace(SPEC, seed=2), OTHER_DATA)
    assert not (tmp_path / "taken").exists()


@pytest.mark.parametrize("name", RUN_FILES)
def test_a_damaged_or_missing_file_is_named(name: str, source: Path, tmp_path: Path) -> None:
    file = source / name
    content = bytearray(file.read_bytes())
    # In the digest of history.csv.sha256, not in the comment before it.
    content[-20] ^= 1
    file.write_bytes(content)
    for _ in range(2):
        with pytest.raises(ResnoiseError, match=name.removesuffix(".sha256")):
            take(source, tmp_path / "taken", SPEC, OTHER_DATA)
        assert not (tmp_path / "taken").exists()
        file.unlink(missing_ok=True)


def test_a_taken_run_is_none_that_was_trained_here(source: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    take(source, tmp_path / "taken", SPEC, OTHER_DATA)
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
