"""Files of another run, or measured with other settings, are refused by name."""

import dataclasses
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from resnoise.config import load as config
from resnoise.errors import ResnoiseError
from resnoise.plan import expected, grid
from resnoise.plan.specs import run_spec, twin_spec
from resnoise.specs import results
from resnoise.specs.run import RunSpec, plain_twin
from resnoise.storage import csvfile, identity
from resnoise.storage.digests import check_csv, read_stamp, stamp, write_json
from resnoise.trained.record import differences, read_record

CONFIG = config.load({"data": {"source": "digits"}})
FOLDER = "runs/residual-20/hmwi/seed{}"
METRICS = {
    "evaluation.csv": "evaluation",
    "layer_cushion.csv": "layer_cushion",
    "weight_histogram.csv": "weight_statistics",
    "feature_gradients.csv": "gradient_flow",
    "metrics/margin.csv": "margin",
}


def spec(seed: int, raw: dict[str, Any] | None = None) -> RunSpec:
    loaded = config.load({"data": {"source": "digits"}, **(raw or {})})
    return run_spec(loaded, "residual", 20, "hmwi", seed)


def make(results: Path, seed: int, run: RunSpec | None = None) -> Path:
    """Write a record, a history and measurements of a run to its folder."""
    folder = results / FOLDER.format(seed)
    run = run or spec(seed)
    fields = dataclasses.asdict(run)
    digests = {"weights": f"w{run.to_json()}", "snapshots": "s", "history": "h"}
    record = {
        **{"spec": fields, "data_digest": "d", "code_digest": "c"},
        **{"files": digests, "status": "done"},
    }
    write_json(folder / "run.json", record)
    csvfile.write(folder / "history.csv", pd.DataFrame({"epoch": [1]}))
    stamp(folder / "history.csv", {"run": fields, "data": "d"})
    for name, metric in METRICS.items():
        csvfile.write(folder / name, pd.DataFrame({"seed": [seed]}))
        keys = expected.metric_spec(CONFIG, metric, run.recipe)
        own = {"weights": digests["weights"], "snapshots": "s", "data": "d", "code": "c"}
        measured = {"metric": metric, "spec": json.loads(keys)}
        stamp(folder / name, {"run": fields, **own, **measured})
    return folder


def check(results: Path, *names: str) -> None:
    files = [results / FOLDER.format(1) / name for name in names]
    wanted = [expected.digest(CONFIG, str(file.relative_to(results))) for file in files]
    assert identity.NO_RUN not in wanted
    identity.check(files, wanted)


ALL = ("run.json", "history.csv", *METRICS)


def test_the_files_of_the_run_that_was_asked_for_pass(tmp_path: Path) -> None:
    make(tmp_path, 1)
    check(tmp_path, *ALL)


def test_nothing_is_checked_where_no_run_is_asked_for(tmp_path: Path) -> None:
    missing = tmp_path / "run.json"
    identity.check([missing], None)
    identity.check([missing], [identity.NO_RUN])


@pytest.mark.parametrize("name", ALL)
def test_a_folder_copied_from_another_seed_is_refused(tmp_path: Path, name: str) -> None:
    shutil.copytree(make(tmp_path, 2), tmp_path / FOLDER.format(1))
    with pytest.raises(ResnoiseError, match=rf"{name}: .*seed 2.*rerun"):
        check(tmp_path, name)


@pytest.mark.parametrize("name", ALL)
def test_a_run_with_fewer_epochs_is_refused(tmp_path: Path, name: str) -> None:
    make(tmp_path, 1, spec(1, {"training": {"simplified": {"epochs": 1}}}))
    with pytest.raises(ResnoiseError, match=rf"{name}: .* 1 epochs.*rerun"):
        check(tmp_path, name)


@pytest.mark.parametrize("name", ["history.csv", *METRICS])
def test_a_table_replaced_together_with_its_digest_is_refused(tmp_path: Path, name: str) -> None:
    make(tmp_path, 1)
    other = make(tmp_path, 2)
    for suffix in ("", ".sha256"):
        shutil.copy(other / f"{name}{suffix}", tmp_path / FOLDER.format(1) / f"{name}{suffix}")
    file = tmp_path / FOLDER.format(1) / name
    check_csv(file)
    with pytest.raises(ResnoiseError, match=rf"{name}: .*seed 2"):
        check(tmp_path, name)
    # A reader that does not know the configuration sees it by the record.
    with pytest.raises(ResnoiseError, match=rf"{name}: of another run than .*run.json"):
        identity.check_beside(file)


@pytest.mark.parametrize("name", METRICS)
def test_a_measurement_with_other_settings_is_refused(tmp_path: Path, name: str) -> None:
    file = make(tmp_path, 1) / name
    stamp(file, {**read_stamp(file), "spec": {"samples": 7}})
    with pytest.raises(ResnoiseError, match=rf'{name}: .*{{"samples": 7}}'):
        check(tmp_path, name)


def test_a_measurement_of_older_weights_of_the_same_run_is_refused(tmp_path: Path) -> None:
    file = make(tmp_path, 1) / "evaluation.csv"
    stamp(file, {**read_stamp(file), "weights": "older"})
    with pytest.raises(ResnoiseError, match=r"evaluation.csv: .*different weights"):
        check(tmp_path, "evaluation.csv")


def test_a_table_that_does_not_say_what_it_is_of_is_refused(tmp_path: Path) -> None:
    file = make(tmp_path, 1) / "evaluation.csv"
    csvfile.write(file, pd.DataFrame({"seed": [1]}))
    with pytest.raises(ResnoiseError, match=r"evaluation.csv: does not say which run"):
        check(tmp_path, "evaluation.csv")


@pytest.mark.parametrize("line", ["# {", "# []", "# 1", '# {"run": 1}', '# {"metric": {}}'])
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    file = make(tmp_path, 1) / "evaluation.csv"
    beside = file.with_name("evaluation.csv.sha256")
    beside.write_text(f"{line}\n" + beside.read_text().partition("\n")[2])
    with pytest.raises(ResnoiseError, match=r"evaluation.csv\S*: .*rerun"):
        check(tmp_path, "evaluation.csv")


def test_twins_and_their_drift_have_runs_of_their_own() -> None:
    residual = twin_spec(CONFIG, 20, 3)
    folder = grid.TWIN_FOLDER.format(depth=20, seed=3)
    assert expected.run_of(CONFIG, f"{folder}/residual/run.json") == residual
    assert expected.run_of(CONFIG, f"{folder}/plain/run.json") == plain_twin(residual)
    assert expected.run_of(CONFIG, f"{folder}/drift.csv") == residual
    keys = {key: CONFIG["twins"][key] for key in ("every_step_epochs", "mask_pictures")}
    drift = identity.digest(dataclasses.asdict(residual), results.DRIFT, keys)
    assert expected.digest(CONFIG, f"{folder}/drift.csv") == drift


@pytest.mark.parametrize(
    "file",
    ["table1.csv", "data.safetensors", "external/a/network.json", "runs/mine-8/kwi/seed1/run.json"],
)
def test_other_files_belong_to_no_run(file: str) -> None:
    assert expected.digest(CONFIG, file) == identity.NO_RUN


def test_the_record_of_another_run_is_refused_with_what_differs(tmp_path: Path) -> None:
    file = make(tmp_path, 1) / "run.json"
    assert read_record(file, "d", spec(1)).digests["data"] == "d"
    with pytest.raises(ResnoiseError, match=r"run.json: another run .*seed 1 instead of 2; move"):
        read_record(file, "d", spec(2))
    with pytest.raises(ResnoiseError, match="other data"):
        read_record(file, "e", spec(1))


def test_differences_are_named() -> None:
    other = spec(4, {"networks": {"width": 3}, "training": {"simplified": {"epochs": 9}}})
    assert differences(other, spec(1)) == (
        "seed 4 instead of 1, width 3 instead of 16, epochs 9 instead of 200"
    )


@pytest.mark.parametrize("key", ["file", "data"])
def test_a_measurement_of_another_network_trained_elsewhere_is_refused(
    tmp_path: Path, key: str
) -> None:
    file = tmp_path / "layer_cushion.csv"
    csvfile.write(file, pd.DataFrame({"cushion": [1.0]}))
    facts = {"network": "{}", "file": "f", "data": "d", "metric": "layer_cushion"}
    write_json(tmp_path / "network.json", {"sha256": "f", "data_digest": "d"})
    stamp(file, facts)
    identity.check_beside(file)
    stamp(file, {**facts, key: "other"})
    different = {"file": "weights", "data": "data"}[key]
    with pytest.raises(ResnoiseError, match=rf"layer_cushion.csv: .*\(different {different}\)"):
        identity.check_beside(file)


def test_sha256sum_reads_a_stamped_digest(tmp_path: Path) -> None:
    folder = make(tmp_path, 1)
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "evaluation.csv.sha256"],
        cwd=folder,
        text=True,
        capture_output=True,
    )
    assert (done.returncode, done.stdout) == (0, "evaluation.csv: OK\n"), done.stderr
