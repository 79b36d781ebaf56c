"""Snakemake's records travel with the results; what has none is out of date."""

import json
import os
import shutil
from pathlib import Path

import pytest

from resnoise import provenance
from resnoise.plan import records

OUTPUT = "results/quick/runs/plain-20/kwi/seed1/weights.safetensors"
LONG = f"results/quick/studies/{'x' * 300}.csv"


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results folder with two outputs, in the working directory; relative, as in the workflow."""
    monkeypatch.chdir(tmp_path)
    for name in (OUTPUT, "results/quick/table1.csv"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("x")
    return Path("results/quick")


def record(file: str, end: float, folder: Path = records.SNAKEMAKE, **facts: object) -> Path:
    """Write a record as Snakemake does, with the time of its job's end."""
    path = folder / records.record_name(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"endtime": end, "record_format_version": 6, **facts}))
    # The clock of a file system may stand still between two records.
    os.utime(path, (end, end))
    return path


def end(file: str, folder: Path) -> float:
    found: float = json.loads((folder / records.record_name(file)).read_text())["endtime"]
    return found


@pytest.mark.parametrize("file", [OUTPUT, LONG, "/data/results/a b/ä.csv"])
def test_records_are_named_as_snakemake_names_them(tmp_path: Path, file: str) -> None:
    from snakemake.persistence.file import FilePersistence

    persistence = FilePersistence(path=tmp_path)
    expected = Path(persistence._record_path(str(tmp_path), file))
    assert tmp_path / records.record_name(file) == expected


def test_records_follow_the_results_and_come_back(results: Path) -> None:
    record(OUTPUT, 10.0)
    record("results/quicker/table1.csv", 10.0)
    known = records.exchange(results)
    assert known == {records.record_name(OUTPUT)}
    assert [*(results / records.FOLDER).iterdir()] == [
        results / records.FOLDER / records.record_name(OUTPUT)
    ]
    shutil.rmtree(".snakemake")
    # A copy without times.
    os.utime(results / records.FOLDER / records.record_name(OUTPUT))
    assert records.exchange(results) == known
    assert end(OUTPUT, records.SNAKEMAKE) == 10.0


@pytest.mark.parametrize("damage", ["", '{"endtime": 1', "[]", '{"endtime": "x"}'])
@pytest.mark.parametrize("side", ["here", "there"])
def test_a_record_that_cannot_be_read_is_replaced(results: Path, damage: str, side: str) -> None:
    record(OUTPUT, 10.0)
    records.exchange(results)
    folder = records.SNAKEMAKE if side == "here" else results / records.FOLDER
    (folder / records.record_name(OUTPUT)).write_text(damage)
    assert records.exchange(results) == {records.record_name(OUTPUT)}
    assert end(OUTPUT, folder) == 10.0


@pytest.mark.parametrize(("here", "there"), [(10.0, 20.0), (20.0, 10.0)])
def test_the_record_of_the_later_job_counts(results: Path, here: float, there: float) -> None:
    record(OUTPUT, here)
    record(OUTPUT, there, results / records.FOLDER)
    records.exchange(results)
    assert end(OUTPUT, records.SNAKEMAKE) == end(OUTPUT, results / records.FOLDER) == 20.0


def test_two_unreadable_records_are_none(results: Path) -> None:
    record(OUTPUT, 10.0).write_text("{")
    assert records.exchange(results) == set()


def test_an_output_without_a_record_gets_one_that_a_real_one_replaces(results: Path) -> None:
    records.mark_unrecorded([Path(OUTPUT)])
    assert records.exchange(results) == {records.record_name(OUTPUT)}
    marked = json.loads((records.SNAKEMAKE / records.record_name(OUTPUT)).read_text())
    assert marked["params"] == ["'there is no record of how this file was made'"]
    assert records.changed_code(results, Path(OUTPUT), provenance.everything()) is None
    record(OUTPUT, 10.0, results / records.FOLDER)
    records.exchange(results)
    assert end(OUTPUT, records.SNAKEMAKE) == 10.0


def test_outputs_are_what_rules_write(results: Path) -> None:
    others = ("logs/a.csv", "benchmarks/a.csv", "provenance/a.csv", "store/a/entry.json")
    others += ("configuration.yaml", "verified.json", "runs/resume.safetensors", ".hidden.csv")
    others += ("studies/x/table1.csv", "compared-with-y/table1.csv", "nested/table1.csv")
    for name in (*others, "nested/configuration.yaml", "a_resume.safetensors"):
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).touch()
    (results / "report.html").touch()
    # Names that mean something directly in the results folder alone.
    (results / "external/store").mkdir(parents=True)
    (results / "external/store/network.json").touch()
    assert {*records.outputs(results)} == {
        Path(OUTPUT),
        results / "table1.csv",
        results / "report.html",
        results / "external/store/network.json",
    }


def test_changed_code_is_named(results: Path) -> None:
    same = provenance.digest("resnoise.seeds")
    environment = provenance.text_digest(provenance.ENVIRONMENTS / "torch.yaml")
    gone = f"resnoise.gone {'0' * 16}"
    params = [repr([same, environment]), repr([gone, f"train.py {'1' * 16}"]), "'resnoise x'"]
    record(OUTPUT, 10.0, params=params)
    records.exchange(results)
    assert records.changed_code(results, Path(OUTPUT), provenance.everything()) == [
        "resnoise.gone",
        "train.py",
    ]
    assert records.changed_code(results, results / "table1.csv", {}) is None
