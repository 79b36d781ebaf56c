"""Faults: each gives a clear message or is recovered from, and nothing is silently wrong."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import faults
import pytest
from plans import whole_plan
from projects import CORE, PLAIN, RESIDUAL, Project, digests, fresh_project

pytestmark = pytest.mark.thorough

TWINS = "twins/depth8/seed1"


def _swap(file: Path) -> None:
    """Put the file of the residual run there."""
    file.write_bytes(Path(str(file).replace(PLAIN, RESIDUAL)).read_bytes())


def _without_digest(file: Path) -> None:
    """Leave a file as it was before files had digests."""
    file.with_name(f"{file.name}.sha256").unlink()
    os.utime(file)
    with file.open("a") as stream:
        stream.write("\n")


# File among the results, damage, target whose jobs read it, message.
DAMAGE: dict[str, tuple[Callable[[Path], None], str, str]] = {
    f"{PLAIN}/evaluation.csv": (faults.flip, "table1", "content has SHA-256"),
    f"{PLAIN}/history.csv": (faults.truncate, "training_curves", "content has SHA-256"),
    f"{PLAIN}/layer_cushion.csv": (faults.empty, "figure3", "content has SHA-256"),
    f"{PLAIN}/noise_stability.csv": (_swap, "noise_stability_figure", "content has SHA-256"),
    f"{PLAIN}/interlayer_cushion.csv": (
        _without_digest,
        "interlayer_table",
        ".sha256 is not beside it",
    ),
    "runs/full-residual-8/kwi/seed1/run.json": (faults.flip, "figure12", "content has SHA-256"),
    "runs/full-plain-8/kwi/seed1/weights.safetensors": (faults.truncate, "figure12", "damaged"),
    "trivial_case.csv": (faults.flip, "figure11", "content has SHA-256"),
}


def test_damaged_files_of_every_kind_are_named_and_made_again(
    everything: Project, tmp_path: Path
) -> None:
    project = everything.copy_to(tmp_path / "project")
    targets = sorted({target for _, target, _ in DAMAGE.values()})
    for file, (damage, _, _) in DAMAGE.items():
        damage(project.results / file)
    printed = project.snakemake(*targets, fails=True)
    assert "Traceback" not in printed
    for file, (_, _, message) in DAMAGE.items():
        said = printed.partition(f"error: results/tiny/{file}: ")[2].partition("\n")[0]
        assert message in said and "rerun" in said, file
        (project.results / file).unlink()
    # Snakemake deleted these when their jobs failed, and needs them no more than other inputs of
    # files that are there; so they are asked for, as the damaged ones are.
    lost = [f"runs/full-{kind}-8/kwi/seed1/gradient_flow.csv" for kind in ("plain", "residual")]
    project.snakemake(*targets, *(f"results/tiny/{file}" for file in [*DAMAGE, *lost]))
    assert faults.results(project) == faults.results(everything)


# Training, twins, evaluation, each kind of measurement, a figure and a table.
KILLED = (
    *("table1", "table2", "figure3", "figure7", "noise_stability_figure"),
    *("interlayer_table", "results/tiny/external/mine/margin.csv"),
    "results/tiny/runs/plain-8/kwi/seed1/gradient_flow.csv",
)


def test_killed_again_and_again_all_ends_the_same(everything: Project, tmp_path: Path) -> None:
    project = fresh_project(tmp_path / "killed")
    project.configure_everything()
    project.configure_external()
    outputs = {output for job in whole_plan(project, *KILLED).values() for output in job.outputs}
    draw = random.Random(6)
    made = []
    for number in range(4):
        before, deadline = faults.jobs_done(project), time.monotonic() + 300
        process = faults.start(project, *KILLED)
        # Snakemake alone takes many seconds to start on a busy machine.
        while faults.jobs_done(project) == before and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(draw.uniform(0, 6))
        # Every other time, jobs go on while the next Snakemake makes the same files.
        (faults.kill_session if number % 2 else faults.kill_snakemake)(process)
        made.append(sum((project.root / output).exists() for output in outputs))
        project.snakemake("--unlock")
    assert any(0 < count < len(outputs) for count in made), made
    project.snakemake(*KILLED)
    expected = faults.results(everything)
    found = faults.results(project)
    assert found == {file: expected[file] for file in found}
    assert outputs <= {f"results/tiny/{file}" for file in found}


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Return an empty folder on which something can be mounted."""
    folder = tmp_path / "mount"
    folder.mkdir()
    if not faults.can_mount(folder):
        pytest.skip("this process may not mount a file system")
    return folder


@pytest.mark.usefixtures("disk")
def test_a_full_disk_is_named_and_room_lets_it_end_the_same(
    finished: Project, tmp_path: Path
) -> None:
    project = fresh_project(tmp_path / "project")
    with faults.small_disk(project.results, megabytes=4):
        # Room for the configuration and logs, and then for the data set, too.
        for room, full in ((16_000, "data"), (96_000, "resume")):
            ballast = faults.fill(project.results, room)
            printed = project.snakemake(*CORE, fails=True)
            assert f"{full}.safetensors: cannot be written" in printed, printed
            assert "No space left on device" in printed
            assert "Traceback" not in printed
            assert faults.results(project).keys() <= {"ballast", *faults.results(finished)}
            ballast.unlink()
        project.snakemake(*CORE)
        assert digests(project) == digests(finished)
        assert faults.results(project).keys() == faults.results(finished).keys()


# Without these capabilities, root is subject to permissions as everybody else.
PLAIN_USER = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--inh-caps=-all")


@pytest.fixture
def plain_user() -> tuple[str, ...]:
    """Return words before a command that make permissions count."""
    if os.geteuid() != 0:
        return ()
    if subprocess.run([*PLAIN_USER, "true"], capture_output=True).returncode != 0:
        pytest.skip("root cannot give up its rights here")
    return PLAIN_USER


def test_a_read_only_results_folder_is_named(project: Project, plain_user: tuple[str, ...]) -> None:
    (project.results / "table1.csv").unlink()
    folders = [project.results, *(p for p in project.results.rglob("*") if p.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    printed = project.snakemake("results/tiny/table1.csv", fails=True, prefix=plain_user)
    assert "results: 'results/tiny' given, but it cannot be written to" in printed
    assert "Traceback" not in printed
    # Looking is allowed.
    project.snakemake("--dry-run", "results/tiny/table1.csv", prefix=plain_user)


@pytest.mark.parametrize("kind", ["folder", "picture", "archive"])
def test_an_unreadable_source_is_named(
    project: Project, tmp_path: Path, plain_user: tuple[str, ...], kind: str
) -> None:
    source = tmp_path / "source"
    (source / "train" / "cat").mkdir(parents=True)
    picture = source / "train" / "cat" / "1.png"
    picture.write_bytes(b"picture")
    archive = tmp_path / "pictures.tar"
    archive.write_bytes(b"archive")
    locked = {"folder": source, "picture": picture, "archive": archive}[kind]
    locked.chmod(0)
    path = archive if kind == "archive" else source
    printed = project.snakemake(
        *("results/unreadable/data.safetensors", "--config", "results=results/unreadable"),
        f"data={{source: pictures, path: {path}}}",
        fails=True,
        prefix=plain_user,
    )
    assert str(locked) in printed and "ermission denied" in printed
    assert "Traceback" not in printed


def test_a_second_snakemake_waits_for_no_file_of_the_first(project: Project) -> None:
    (project.results / "table1.csv").unlink()
    first = faults.start(project, *CORE)
    while not [*(project.root / ".snakemake" / "locks").glob("*")]:
        assert first.poll() is None
        time.sleep(0.1)
    # It must not end before the others have tried.
    os.killpg(first.pid, signal.SIGSTOP)
    try:
        printed = project.snakemake(*CORE, fails=True)
        assert "Directory cannot be locked" in printed and "--unlock" in printed
        # Another results folder is no conflict.
        project.snakemake("results/other/data.safetensors", "--config", "results=results/other")
    finally:
        os.killpg(first.pid, signal.SIGCONT)
    assert first.wait() == 0
    assert digests(project)


def test_a_clock_that_jumps_makes_nothing_stale(project: Project) -> None:
    faults.scatter_times(project, seed=1)
    assert project.stale() == {}


def test_a_clock_that_was_set_back_is_named(project: Project) -> None:
    data = project.results / "data.safetensors"
    ahead = time.time() + 10 * 86400
    os.utime(data, (ahead, ahead))
    run = f"results/tiny/{PLAIN}/run.json"
    project.replace("config/tiny.yaml", "epochs: 2", "epochs: 1")
    printed = project.snakemake(run, fails=True)
    assert "older modification time" in printed and "clock skew" in printed
    assert "Traceback" not in printed
    os.utime(data)
    project.snakemake(run)
    assert "Nothing to be done" in project.snakemake("--dry-run", run)
