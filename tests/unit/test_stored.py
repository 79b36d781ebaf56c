"""What the store must keep: all that a configuration asks for, its files being there or not."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resnoise.config import load as configuration
from resnoise.live import jobs
from resnoise.specs import results
from resnoise.storage import tensorfile
from resnoise.storage.digests import write_json
from resnoise.storage.store import Store
from resnoise.verification import stored

DRIFT = {"every_step_epochs": 2, "mask_pictures": 16}
PICTURES = {"source": "cifar10"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a results folder with a configuration and a data set, and nothing else."""
    place = tmp_path / "results"
    place.mkdir()
    (place / configuration.SAVED).write_text("{}")
    images = {"train_images": np.zeros((1, 2, 2, 1), np.uint8)}
    tensorfile.save(place / "data.safetensors", images, {"spec": PICTURES})
    return place


def identities(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what today's code makes of a run of the conjecture and of twins, and measurements."""
    config = configuration.load({})
    run = jobs.configured(config, folder, ["conjecture"])[0].plan
    twins = jobs.configured(config, folder, ["twins"])[0].plan
    assert run and twins and twins.drift == "2 16"
    data = tensorfile.load(folder / "data.safetensors")[2]
    facts = {"weights": "w", "snapshots": "s", "data": data, "code": "c", "spec": {}, "run": {}}
    return {
        "run": results.of_run(run.spec, data, run.code),
        "twins": results.of_twins(twins.spec, DRIFT, data, twins.code),
        "measured": results.of_measurement({**facts, "metric": "margin"}),
        "foreign": results.of_measurement({**facts, "weights": "of others", "metric": "margin"}),
        "earlier": results.of_run(run.spec, data, "earlier code"),
        "pictures": {"result": results.DATA, "spec": json.dumps(PICTURES), "code": "c"},
    }


def wanted(folder: Path, files: Path) -> set[str]:
    """Return which of the results of ``identities`` are asked for once all are in a store."""
    store = Store(files / "store")
    write_json(files / "run.json", {"files": {"weights": "w"}})
    for name, identity in identities(folder).items() if not store.folder.exists() else ():
        outputs = {"run.json": files / "run.json"} if name in ("run", "twins") else {}
        store.keep(identity, {**outputs, name: files / "run.json"})
    found = stored.kept(store.folder, [folder])
    return {file.name for entry in found if entry.wanted for file in entry.folder.iterdir()} - {
        *("run.json", "entry.json")
    }


def test_results_without_their_files_are_asked_for(folder: Path, tmp_path: Path) -> None:
    assert wanted(folder, tmp_path) == {"run", "twins", "measured", "pictures"}


def test_without_a_data_set_any_is_the_one(folder: Path, tmp_path: Path) -> None:
    wanted(folder, tmp_path)
    (folder / "data.safetensors").unlink()
    assert wanted(folder, tmp_path) == {"run", "twins", "measured", "pictures"}


def test_nobody_asks_for_results_of_other_pictures(folder: Path, tmp_path: Path) -> None:
    wanted(folder, tmp_path)
    images = {"train_images": np.ones((1, 2, 2, 1), np.uint8)}
    tensorfile.save(folder / "data.safetensors", images, {"spec": {"source": "other"}})
    assert wanted(folder, tmp_path) == set()
