"""Many runs for a number of minutes: stopped, packed, and continued elsewhere to the same bits."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import train_many
from train_many import CHECKPOINT, Pieces, Training, unpack

from resnoise.errors import ResnoiseError
from resnoise.specs.run import RunSpec
from resnoise.storage import tensorfile
from resnoise.training.log_lines import Log

SCRIPT = Path(train_many.__file__)
NAMES = ("plain-8/kwi/seed1", "full-residual-8/kwi/seed2", "residual-8/hmwi/seed1")
RECIPE = {"epochs": 25, "batch_size": 25, "crop_padding": 1, "snapshot_epochs": [2]}
# Of the run that is stopped: it must not end before, however busy the machine.
LONG = 400
RESULTS = ("weights.safetensors", "snapshots.safetensors")


def call(*words: object, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, words)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return a plan for scikit-learn's digits."""
    folder = tmp_path_factory.mktemp("plan")
    settings = {
        "data": {"source": "digits", "train_per_class": 10, "test_per_class": 3},
        "networks": {"width": 8},
        "training": {"simplified": RECIPE, "fully_fledged": RECIPE | {"epochs": LONG}},
    }
    (folder / "small.yaml").write_text(json.dumps(settings))
    done = call("plan", *NAMES, "--configfile", "small.yaml", folder=folder)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_plan_has_the_runs_in_their_order(plan: dict[str, Any]) -> None:
    assert tuple(plan["runs"]) == NAMES
    spec = RunSpec.from_dict(plan["runs"]["full-residual-8/kwi/seed2"])
    assert (spec.network.architecture, spec.network.depth, spec.network.width) == (
        *("full-residual", 8, 8),
    )
    assert (spec.initialisation, spec.seed, spec.recipe.epochs) == ("kwi", 2, LONG)
    assert plan["data"]["source"] == "digits"


def test_without_names_a_plan_is_that_of_the_paper(tmp_path: Path) -> None:
    done = call("plan", folder=tmp_path)
    runs = json.loads(done.stdout)["runs"]
    assert tuple(runs) == train_many.USUAL
    assert {run["recipe"]["epochs"] for run in runs.values()} == {200}


def test_a_plan_can_have_runs_of_several_configurations(tmp_path: Path) -> None:
    (tmp_path / "fast.yaml").write_text("training: {simplified: {learning_rate: 0.01}}")
    (tmp_path / "one.json").write_text(call("plan", NAMES[0], folder=tmp_path).stdout)
    words = ("--prefix", "rate0.01/", "--after", "one.json", "--configfile", "fast.yaml")
    runs = json.loads(call("plan", NAMES[0], *words, folder=tmp_path).stdout)["runs"]
    assert [*runs] == [NAMES[0], f"rate0.01/{NAMES[0]}"]
    assert [run["recipe"]["learning_rate"] for run in runs.values()] == [0.005, 0.01]


def test_the_data_set_of_a_plan_is_that_of_the_rules(tmp_path: Path) -> None:
    """Their jobs would not take runs on the same pictures with another specification."""
    (tmp_path / "mine.tar.gz").write_bytes(b"pictures")
    (tmp_path / "mine.yaml").write_text("data: {source: archive, path: mine.tar.gz}")
    done = call("plan", NAMES[0], "--configfile", "mine.yaml", folder=tmp_path)
    data = json.loads(done.stdout)["data"]
    assert data["sha256"] == hashlib.sha256(b"pictures").hexdigest()
    (tmp_path / "mine.tar.gz").unlink()
    done = call("plan", NAMES[0], "--configfile", "mine.yaml", folder=tmp_path)
    assert done.returncode == 1 and "mine.tar.gz" in done.stderr


def test_archives_of_an_earlier_run_are_not_appended_to(
    plan: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/unfinished.tar.gz.000").write_bytes(b"earlier")
    done = call("run", "plan.json", "out", "--minutes", 0, "--device", "cpu", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr == (
        "error: out/unfinished.tar.gz.000 is there from an earlier run; give another folder\n"
    )
    assert (tmp_path / "out/unfinished.tar.gz.000").read_bytes() == b"earlier"


@pytest.mark.thorough
def test_a_stopped_training_continues_elsewhere_to_the_same_bits(
    plan: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    options = ("--device", "cpu", "--minutes", 10, "--at-once", 2)
    done = call("run", "plan.json", "whole", *options, "--work", "uninterrupted", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("finished\n") == 2 * len(NAMES)

    words = [sys.executable, str(SCRIPT), "run", "plan.json", "out", *map(str, options)]
    with subprocess.Popen([*words, "--work", "stopped"], cwd=tmp_path) as process:
        # Its log has a line for each epoch, and after the first one there is a checkpoint.
        log = tmp_path / "stopped" / NAMES[1] / "train.log"
        while process.poll() is None and not (log.exists() and Log.parse(log.read_text()).finished):
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 0
    assert (tmp_path / "stopped" / NAMES[1] / CHECKPOINT).exists()

    # On a machine that has nothing but the archive.
    done = call(
        *("run", "plan.json", "again", *options, "--work", "elsewhere"),
        *("--go-on", "out/unfinished.tar.gz"),
        folder=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for out in ("out", "again"):
        unpack(tmp_path / out / "finished.tar.gz", tmp_path / "collected")
    record = json.loads((tmp_path / "collected" / NAMES[1] / "run.json").read_text())
    assert record["sessions"][1]["first_epoch"] > 1
    for name in NAMES:
        for file in RESULTS:
            found, expected = (
                (tmp_path / folder / name / file).read_bytes()
                for folder in ("collected", "uninterrupted")
            )
            assert found == expected, (name, file)
    table = (tmp_path / "again" / "table.txt").read_text()
    assert f"epoch {LONG} of {LONG}" in table and "epoch 25 of 25" in table


def test_a_run_that_fails_is_named_and_the_others_go_on(
    plan: dict[str, Any], tmp_path: Path
) -> None:
    first, second = NAMES[0], NAMES[2]
    short = {**plan["runs"][second], "recipe": {**plan["runs"][second]["recipe"], "epochs": 2}}
    wrong = {**plan["runs"][first], "recipe": {**plan["runs"][first]["recipe"], "batch_size": 999}}
    plan = {**plan, "runs": {first: wrong, second: short}, "data_digest": "another"}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    done = call("run", "plan.json", "out", "--device", "cpu", "--minutes", 5, folder=tmp_path)
    assert done.returncode == 1
    assert f"{first:28} FAILED with status 1: error: batch_size: 999 given" in done.stdout
    assert f"{second:28} epoch 2 of 2" in done.stdout
    assert "expected another: its pictures" in done.stdout


def test_a_time_limit_before_the_first_epoch_leaves_archives(
    plan: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    done = call("run", "plan.json", "out", "--device", "cpu", "--minutes", 0, folder=tmp_path)
    assert done.returncode == 0
    assert done.stdout.count("not begun") == len(NAMES)
    unpack(tmp_path / "out" / "unfinished.tar.gz", tmp_path / "unpacked")
    assert not list((tmp_path / "unpacked").glob("**/*.safetensors"))


def training(folder: Path, plan: dict[str, Any], sizes: dict[str, dict[str, int]]) -> Training:
    """Return runs with files of the given sizes."""
    for name, files in sizes.items():
        (folder / name).mkdir(parents=True)
        for file, size in files.items():
            # Not compressible, as weights are not.
            (folder / name / file).write_bytes(bytes(i * i % 251 for i in range(size)))
    return Training(folder, plan)


def packed(folder: Path) -> list[str]:
    for stem in ("unfinished", "finished"):
        unpack(folder / f"{stem}.tar.gz", folder / stem)
    return sorted(str(f.relative_to(folder)) for f in folder.glob("*finished/**/*") if f.is_file())


def test_a_pack_has_what_is_needed_to_go_on_and_what_is_new(
    plan: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done, new, going = NAMES
    result = {"weights.safetensors": 900, "run.json": 10, "snapshots.safetensors": 200_000}
    sizes = {
        # Of a run that has ended elsewhere there is the record alone.
        done: {"run.json": 10},
        new: {**result, ".lock": 0},
        going: {CHECKPOINT: 900, "train.log": 9},
    }
    runs = training(tmp_path / "work", plan, sizes)
    outs = [tmp_path / name for name in ("first", "second", "third")]
    for out, most in zip(outs, (250_000, 400_000, 400_000), strict=True):
        out.mkdir()
        if out == outs[2]:
            file = tmp_path / "work" / going / CHECKPOINT
            file.write_text("another")
            # As time goes by between two checkpoints.
            os.utime(file, (1, 1))
        runs.pack(out, 10_000, most)
    assert packed(outs[0]) == [
        f"finished/{new}/run.json",
        f"finished/{new}/weights.safetensors",
        f"finished/{done}/run.json",
        f"unfinished/{new}/run.json",
        f"unfinished/{done}/run.json",
        f"unfinished/{going}/resume.safetensors",
        f"unfinished/{going}/train.log",
    ]
    left_out = f"left out of finished.tar.gz for want of room: {new}/snapshots.safetensors"
    assert capsys.readouterr().out == f"{left_out}\n"
    assert packed(outs[1]) == [f"finished/{new}/snapshots.safetensors"]
    assert packed(outs[2]) == [f"unfinished/{going}/resume.safetensors"]


@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_pieces_hold_what_was_written(piece: int, tmp_path: Path) -> None:
    pieces = Pieces(tmp_path / "file", piece)
    texts = [bytes(range(n)) for n in (0, 1, 6, 20, 3)]
    for text in texts:
        assert pieces.write(text) == len(text)
    files = sorted(tmp_path.iterdir())
    assert b"".join(file.read_bytes() for file in files) == b"".join(texts)
    assert pieces.size == 30
    assert [file.stat().st_size for file in files[:-1]] == [piece] * (len(files) - 1)
    assert files[0].name == "file.000"


def test_missing_pieces_are_an_error(plan: dict[str, Any], tmp_path: Path) -> None:
    runs = training(tmp_path / "work", plan, {NAMES[0]: {CHECKPOINT: 3000}})
    runs.pack(tmp_path, 100, 10**6)
    with pytest.raises(ResnoiseError, match=r"other\.tar\.gz\.000 does not exist"):
        unpack(tmp_path / "other.tar.gz", tmp_path)
    max(tmp_path.glob("unfinished.tar.gz.*")).unlink()
    with pytest.raises(ResnoiseError, match="pieces are missing or damaged"):
        unpack(tmp_path / "unfinished.tar.gz", tmp_path / "unpacked")


@pytest.mark.parametrize("different", ["code", "data", "spec"])
def test_a_checkpoint_that_would_be_started_over_is_refused(
    different: str, plan: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_many.provenance, "code_digest", lambda *_: "code")
    runs = training(tmp_path, plan, {name: {} for name in NAMES[:2]})
    name = NAMES[1]
    identity = {"spec": runs.specs[name].to_json(), "data": "data", "code": "code"}
    file = tmp_path / name / CHECKPOINT
    tensorfile.save(file, {}, {"runs": [{"identity": identity}]})
    runs.check("data")
    tensorfile.save(file, {}, {"runs": [{"identity": {**identity, different: "other"}}]})
    with pytest.raises(ResnoiseError, match=f"{name}: its checkpoint is of another {different};"):
        runs.check("data")
