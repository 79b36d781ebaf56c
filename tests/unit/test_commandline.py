"""How scripts end: one line for what a user can mend, a traceback for mistakes of the program."""

import argparse
import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from resnoise import commandline, provenance
from resnoise.errors import ResnoiseError, quoted

REFUSED = {
    "full disk": OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "results/a.csv"),
    "permissions": PermissionError(errno.EACCES, os.strerror(errno.EACCES), "results/a.csv"),
    "read-only": OSError(errno.EROFS, os.strerror(errno.EROFS), "results/a.csv"),
    "bad input": ResnoiseError("results/a.csv: damaged"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_a_user_can_mend_is_one_line(kind: str) -> None:
    def main() -> None:
        raise REFUSED[kind]

    with pytest.raises(SystemExit) as ended:
        commandline.run(main)
    text = str(ended.value.code)
    assert text.startswith("error: ") and "results/a.csv" in text and "\n" not in text


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ..."),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has ..."),
    ],
)
def test_a_lack_of_memory_is_one_line(error: Exception) -> None:
    def main() -> None:
        raise error

    with pytest.raises(SystemExit) as ended:
        commandline.run(main)
    assert ended.value.code == "error: more memory is needed than there is"


def test_an_operation_that_is_not_deterministic_is_one_line() -> None:
    def main() -> None:
        raise RuntimeError(
            "adaptive_avg_pool2d_backward_cuda does not have a deterministic implementation, but "
            "you set 'torch.use_deterministic_algorithms(True)'. You can ..."
        )

    with pytest.raises(SystemExit) as ended:
        commandline.run(main)
    assert ended.value.code == (
        "error: adaptive_avg_pool2d_backward_cuda does not have a deterministic implementation on "
        "a graphics card; set device: cpu"
    )


def test_errors_of_others_are_quoted_in_one_plain_line() -> None:
    for error, text in (
        (ValueError("\n\x1b[1mdo those\x1b[0m first\x07\nthen these"), "do those  first"),
        (EOFError(), "EOFError"),
        (OSError("x" * 1000), "x" * 197 + "..."),
        ("HTTP 404 \x9bGone", "HTTP 404  Gone"),
    ):
        assert quoted(error) == text


@pytest.mark.parametrize(
    "error", [RuntimeError("b"), KeyError("a"), FileNotFoundError(errno.ENOENT, "none", "a")]
)
def test_a_mistake_of_the_program_keeps_its_traceback(error: Exception) -> None:
    def main() -> None:
        raise error

    with pytest.raises(type(error)):
        commandline.run(main)


def start(lines: int, **options: Any) -> subprocess.Popen[bytes]:
    """Start a script that prints so many lines."""
    code = "from resnoise import commandline\n"
    code += f"commandline.run(lambda: print('line\\n' * {lines}))"
    path = str(Path(commandline.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
        **options,
    )


@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_reader_that_leaves_is_no_mistake(lines: int) -> None:
    process = start(lines, stdout=subprocess.PIPE)
    assert process.stdout and process.stderr
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 1


def test_a_script_without_an_output_ends_well() -> None:
    process = start(1, preexec_fn=lambda: os.close(1))
    assert process.communicate()[1] == b""
    assert process.returncode == 0


def test_what_was_computed_is_taken_from_the_store(tmp_path: Path) -> None:
    calls = []

    def once(folder: str, identity: str, store: Path | None = tmp_path / "store") -> str:
        output = tmp_path / folder / "result.txt"

        def compute() -> None:
            calls.append(folder)
            output.parent.mkdir(exist_ok=True)
            output.write_text(identity)

        checkpoint = output.with_name("resume.safetensors")
        outputs = {output.name: output}
        commandline.computed_once(store, {"spec": identity}, outputs, compute, checkpoint)
        return output.read_text()

    (tmp_path / "two").mkdir()
    # What an interrupted computation left; it has been computed elsewhere since.
    (tmp_path / "two" / "resume.safetensors").touch()
    for folder in ("one", "two", "one"):
        assert once(folder, "x") == "x"
    assert calls == ["one"]
    assert not (tmp_path / "two" / "resume.safetensors").exists()
    assert once("one", "y") == "y"
    assert once("three", "x", None) == "x"
    assert calls == ["one", "one", "three"]


def test_training_whose_code_was_edited_meanwhile_ends_well_without_an_evaluation(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    promised = provenance.promise("train.py", "torch.yaml", "resnoise.networks.simplified")
    monkeypatch.setattr(commandline, "_promised", f"0{promised}")
    arguments = argparse.Namespace(evaluate=True, store=tmp_path / "store")
    commandline.evaluate_too(arguments, tmp_path / "run")
    assert "not evaluated here: the code of train.py" in caplog.text


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), MemoryError("none")])
def test_a_failed_evaluation_does_not_fail_the_training_before_it(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    def fail(_words: list[str]) -> None:
        raise error

    monkeypatch.setattr("measure.main", fail)
    arguments = argparse.Namespace(
        evaluate=True, store=tmp_path, data="x", device="cpu", threads=1, data_spec=None
    )
    commandline.evaluate_too(arguments, tmp_path / "run")
    assert f"not evaluated here: {error}" in caplog.text


def test_a_job_with_other_code_than_promised_ends_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    promised = provenance.promise("table.py", "analysis.yaml", "resnoise.tables.table1")
    done = []
    # So that it is as before when the test ends.
    monkeypatch.setattr(commandline, "_promised", None)
    monkeypatch.setattr("sys.argv", ["table.py", "--code", promised, "table1"])
    commandline.run(lambda: done.append(list(sys.argv)))
    monkeypatch.setattr("sys.argv", ["table.py", "--code", f"0{promised}", "table1"])
    with pytest.raises(SystemExit, match=r"^error: the code of table.py, of a module that"):
        commandline.run(lambda: done.append(list(sys.argv)))
    assert done == [["table.py", "table1"]]
