"""A whole results folder is checked file by file, and the store entry by entry."""

import dataclasses
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from resnoise import provenance
from resnoise.config import load as configuration
from resnoise.data import dataset as datasets
from resnoise.data.prepare import prepare
from resnoise.plan import expected, records
from resnoise.plan.specs import data_spec, run_spec
from resnoise.specs import results as results_of
from resnoise.storage import csvfile
from resnoise.storage.digests import read_json, stamp, write_json
from resnoise.storage.pages import write_page
from resnoise.storage.store import Store
from resnoise.trained.adopt import adopt
from resnoise.training import loop
from resnoise.training.run import RunFiles
from resnoise.verification import files, stored

RAW = {
    "data": {"source": "digits", "train_per_class": 2, "test_per_class": 1},
    "networks": {"width": 4},
    "training": {"simplified": {"epochs": 1, "batch_size": 10}},
    "table1": {"depths": [8], "seeds": [1]},
}
RUN = "runs/residual-8/hmwi/seed1"


def evaluation(folder: Path) -> None:
    """Write a measurement of a run."""
    record = read_json(folder / "run.json")
    csvfile.write(folder / "evaluation.csv", pd.DataFrame({"risk": [0.5]}))
    own = {name: record["files"][name] for name in ("weights", "snapshots")}
    keys = json.loads(expected.metric_spec({}, "evaluation"))
    measured = {"metric": "evaluation", "spec": keys, "code": "c", "data": record["data_digest"]}
    stamp(folder / "evaluation.csv", {"run": record["spec"], **own, **measured})


def record_all(results: Path) -> None:
    """Write a record for each output, as after a run with the code of today."""
    code = [provenance.digest("resnoise.seeds")]
    for file in records.outputs(results):
        path = results / records.FOLDER / records.record_name(str(file))
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"endtime": 1.0, "params": [repr(code)]}))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a results folder, from real training; tests must not change it."""
    root = tmp_path_factory.mktemp("made")
    results = root / "results"
    config = configuration.load({**RAW, "results": str(results)})
    configuration.save(config)
    samples, digest = prepare(data_spec(config), None)
    datasets.save(results / "data.safetensors", samples, digest)
    data = datasets.load(results / "data.safetensors")
    for seed in (1, 2):
        spec = run_spec(config, "residual", 8, "hmwi", seed)
        folder = results / f"runs/residual-8/hmwi/seed{seed}"
        loop.train([spec], data, [RunFiles.in_folder(folder)], device="cpu", threads=1, code="code")
        evaluation(folder)
    csvfile.write(results / "table1.csv", pd.DataFrame({"depth": [8]}))
    write_page(results / "table1.md", "# Table 1\n")
    (results / "table1.pdf").write_bytes(b"%PDF-1.4 numbers")
    stamp(results / "table1.csv", None, [results / "table1.md", results / "table1.pdf"])
    return root


@pytest.fixture
def results(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy = Path(shutil.copytree(made / "results", tmp_path / "results"))
    monkeypatch.chdir(tmp_path)
    record_all(Path("results"))
    assert copy.samefile("results")
    return Path("results")


def check(results: Path, with_config: bool = True) -> dict[str, files.Finding]:
    config = None
    if with_config:
        config = configuration.load(configuration.read([results / configuration.SAVED]))
    verifier = files.Verifier(results, config)
    return {str(file.relative_to(results)): verifier.check(file) for file in files.files(results)}


@pytest.mark.parametrize("with_config", [True, False])
def test_what_was_made_and_left_alone_is_sound(results: Path, with_config: bool) -> None:
    found = check(results, with_config)
    assert len(found) == 14
    assert {name for name, each in found.items() if each.state != files.SOUND} == set()


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    "name",
    [
        *("data.safetensors", "table1.csv", "table1.md", "table1.pdf"),
        *(f"{RUN}/weights.safetensors", f"{RUN}/snapshots.safetensors", f"{RUN}/history.csv"),
        *(f"{RUN}/run.json", f"{RUN}/evaluation.csv"),
    ],
)
@pytest.mark.parametrize("damage", [flip, lambda file: file.write_bytes(file.read_bytes()[:-9])])
def test_rot_is_found_wherever_it_is(
    results: Path, name: str, damage: Callable[[Path], None]
) -> None:
    damage(results / name)
    found = check(results)
    assert found[name].state == files.DAMAGED and found[name].reason
    assert Counter(each.state for each in found.values())[files.DAMAGED] == 1


@pytest.mark.parametrize("with_config", [True, False])
def test_a_file_of_another_run_is_foreign(results: Path, with_config: bool) -> None:
    other = results / RUN.replace("seed1", "seed2")
    for name in ("evaluation.csv", "evaluation.csv.sha256", "weights.safetensors"):
        shutil.copy(other / name, results / RUN / name)
    found = check(results, with_config)
    assert {name for name, each in found.items() if each.state == files.FOREIGN} == {
        f"{RUN}/evaluation.csv",
        f"{RUN}/weights.safetensors",
    }


def test_a_folder_of_another_run_is_foreign_as_a_whole(results: Path) -> None:
    shutil.rmtree(results / RUN)
    shutil.copytree(results / RUN.replace("seed1", "seed2"), results / RUN)
    record_all(results)
    found = check(results)
    assert {each.state for name, each in found.items() if name.startswith(RUN)} == {files.FOREIGN}
    assert "seed 2" in found[f"{RUN}/run.json"].reason


def test_a_table_without_its_digest_is_damaged(results: Path) -> None:
    (results / "table1.csv.sha256").unlink()
    assert check(results)["table1.csv"].state == files.DAMAGED
    (results / f"{RUN}/evaluation.csv").unlink()
    assert check(results)[f"{RUN}/evaluation.csv.sha256"].state == files.DAMAGED


def test_a_picture_without_a_digest_is_unchecked(results: Path) -> None:
    (results / "mine.pdf").write_bytes(b"%PDF")
    record_all(results)
    assert check(results)["mine.pdf"].state == files.UNCHECKED


def test_what_older_code_has_made_is_stale(results: Path) -> None:
    path = results / records.FOLDER / records.record_name("results/table1.csv")
    path.write_text(json.dumps({"endtime": 1.0, "params": [f"['resnoise.seeds {'0' * 16}']"]}))
    records_of_run = results / records.FOLDER / records.record_name(f"results/{RUN}/run.json")
    records_of_run.unlink()
    found = check(results)
    assert found["table1.csv"].reason == "made with another version of resnoise.seeds"
    assert found[f"{RUN}/run.json"].reason == "there is no record of how it was made"
    states = Counter(each.state for each in found.values())
    assert states == {files.STALE: 2, files.SOUND: 12}


def test_other_data_make_a_run_foreign(results: Path) -> None:
    record = read_json(results / RUN / "run.json")
    write_json(results / RUN / "run.json", record | {"data_digest": "0" * 64})
    assert check(results)[f"{RUN}/run.json"].state == files.FOREIGN


# The store.


def test_results_from_elsewhere_are_adopted_as_jobs_would_keep_them(results: Path) -> None:
    store = Store(Path("store"))
    assert adopt(records.outputs(results), store) == 4
    assert adopt(records.outputs(results), store) == 0
    names = [entry.name for entry in stored.kept(store.folder, [])]
    assert names == [
        "measurement evaluation",
        "measurement evaluation",
        "run residual-8 hmwi seed 1, 1 epochs",
        "run residual-8 hmwi seed 2, 1 epochs",
    ]


def test_what_is_damaged_or_foreign_is_not_adopted(results: Path) -> None:
    flip(results / RUN / "weights.safetensors")
    shutil.copy(
        results / RUN / "snapshots.safetensors",
        results / RUN.replace("seed1", "seed2") / "snapshots.safetensors",
    )
    flip(results / RUN / "evaluation.csv")
    assert adopt(records.outputs(results), Store(Path("store"))) == 1


def test_what_no_configuration_asks_for_is_told_apart_and_deleted(results: Path) -> None:
    store = Store(Path("store"))
    adopt(records.outputs(results), store)
    (store.folder / ".unfinished-x").mkdir()
    (folder,) = stored.results_folders(Path())
    # Seed 2 is in the folder, but the configuration does not ask for it.
    entries = stored.kept(store.folder, [folder])
    assert [entry.wanted for entry in entries] == [False, False, True, True]
    assert "seed 2" in entries[1].name and entries[1].size > 1000
    stored.delete(store.folder, [entry for entry in entries if not entry.wanted])
    assert len([*store.entries()]) == 2 and not store.unfinished()
    assert dataclasses.replace(entries[2], wanted=True) in stored.kept(store.folder, [folder])


def test_the_pictures_of_a_results_folder_are_asked_for(results: Path) -> None:
    """Whatever code has prepared them: to read their source again may take long."""
    store, file = Store(Path("store")), results / "data.safetensors"
    config = configuration.load({**RAW, "results": str(results)})
    samples, digest = prepare(data_spec(config), None)
    own = dataclasses.replace(data_spec(config), sha256=digest)
    datasets.save(file, samples, digest, spec=own.to_json())
    store.keep(results_of.of_data(own, "code of before"), {file.name: file})
    other = dataclasses.replace(own, scaling="centred")
    store.keep(results_of.of_data(other, "code"), {file.name: file})
    entries = stored.kept(store.folder, stored.results_folders(Path()))
    assert [(entry.name, entry.wanted) for entry in entries] == [("data", False), ("data", True)]
