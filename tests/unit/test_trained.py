"""Finished runs read back: files that are damaged or do not belong together are refused."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from resnoise.config import load as config
from resnoise.data import dataset as datasets
from resnoise.data.dataset import Dataset
from resnoise.data.prepare import prepare
from resnoise.errors import ResnoiseError
from resnoise.metrics.transfer_check import transfer_run
from resnoise.plan.specs import data_spec, run_spec
from resnoise.specs.run import DataSpec
from resnoise.storage import tensorfile
from resnoise.storage.digests import read_json, write_json
from resnoise.trained import run as trained
from resnoise.training import loop
from resnoise.training.run import RunFiles

NAMES = ("weights.safetensors", "snapshots.safetensors", "history.csv", "run.json")


def prepared(folder: Path, seed: int) -> Path:
    """Write a few digits that ``seed`` draws."""
    spec = DataSpec.from_dict(
        dataclasses.asdict(data_spec(config.load({"data": {"source": "digits"}})))
        | {"train_per_class": 2, "test_per_class": 1, "subset_seed": seed}
    )
    samples, digest = prepare(spec, None)
    datasets.save(folder / f"data{seed}.safetensors", samples, digest)
    return folder / f"data{seed}.safetensors"


def files(folder: Path) -> RunFiles:
    return RunFiles(*(folder / name for name in NAMES))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data and two runs that differ in their seed; tests must not change it."""
    folder = tmp_path_factory.mktemp("runs")
    data = datasets.load(prepared(folder, 0))
    for seed in (1, 2):
        raw = {
            "networks": {"width": 4},
            "training": {"simplified": {"epochs": 1, "batch_size": 10}},
        }
        spec = run_spec(config.load(raw), "residual", 8, "hmwi", seed)
        loop.train([spec], data, [files(folder / str(seed))], device="cpu", threads=1, code="code")
    return folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "runs"))


def read(folder: Path, data: Dataset | None = None) -> trained.TrainedRun:
    """Return the first run."""
    data = data or datasets.load(folder / "data0.safetensors")
    return trained.read(folder / "1", data)


def transfer(folder: Path) -> None:
    """Transfer the first run."""
    run = files(folder / "1")
    data = datasets.load(folder / "data0.safetensors")
    outputs = folder / "plain.safetensors", folder / "plain.json"
    transfer_run(run.record, run.weights, data, *outputs, device="cpu", threads=1)


READERS: dict[str, Callable[[Path], object]] = {"metrics": read, "transfer": transfer}


def test_an_intact_run_is_read(folder: Path) -> None:
    assert list(read(folder).weights) == ["initial", "iteration1", "final"]
    transfer(folder)


@pytest.mark.parametrize(
    ("reader", "name"),
    [
        ("metrics", "weights.safetensors"),
        ("metrics", "snapshots.safetensors"),
        ("transfer", "weights.safetensors"),
    ],
)
def test_weights_of_another_run_are_refused(folder: Path, name: str, reader: str) -> None:
    shutil.copy(folder / "2" / name, folder / "1" / name)
    with pytest.raises(ResnoiseError, match=rf"{name}: .* another run .* train again"):
        READERS[reader](folder)


@pytest.mark.parametrize("key", ["spec", "data", "code"])
def test_weights_must_say_of_themselves_what_the_record_says(folder: Path, key: str) -> None:
    file = folder / "1" / "weights.safetensors"
    arrays, metadata, _ = tensorfile.load(file)
    tensorfile.save(file, {name: a.copy() for name, a in arrays.items()}, metadata | {key: "other"})
    with pytest.raises(ResnoiseError, match=rf"weights.safetensors: .*\(different {key}\)"):
        read(folder)


@pytest.mark.parametrize("reader", READERS)
def test_a_run_that_was_trained_on_other_data_is_refused(folder: Path, reader: str) -> None:
    shutil.move(prepared(folder, 5), folder / "data0.safetensors")
    with pytest.raises(ResnoiseError, match=r"run.json: .* other data, train it again"):
        READERS[reader](folder)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("text", ["", "[]", "{}", '{"spec": {"seed": 1}}', "\xff"])
def test_a_damaged_record_is_named(folder: Path, text: str, reader: str) -> None:
    (folder / "1" / "run.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ResnoiseError, match=r"run.json: .*delete it and rerun"):
        READERS[reader](folder)


@pytest.mark.parametrize("reader", READERS)
def test_a_record_without_a_digest_is_named(folder: Path, reader: str) -> None:
    file = folder / "1" / "run.json"
    record = read_json(file)
    del record["code_digest"]
    write_json(file, record)
    with pytest.raises(ResnoiseError, match=r"run.json: .*code_digest"):
        READERS[reader](folder)


@pytest.mark.parametrize(
    "name", ["data0.safetensors", "1/weights.safetensors", "1/snapshots.safetensors"]
)
@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "gone"])
def test_damaged_files_are_named(folder: Path, name: str, damage: str) -> None:
    file = folder / name
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    if damage == "gone":
        file.unlink()
    else:
        cut = {"flipped": len(content), "cut": len(content) - 9, "empty": 0}[damage]
        file.write_bytes(content[:cut])
    with pytest.raises(ResnoiseError) as caught:
        read(folder)
    assert str(caught.value).startswith(f"{file}: ")
    if damage == "flipped":
        assert str(caught.value).endswith("delete it and rerun")
