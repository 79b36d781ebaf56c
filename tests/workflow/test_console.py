"""What a user sees of real runs: progress, errors, and what came out."""

import contextlib
import os
import pty
import re
import subprocess
from pathlib import Path

import patient
import pytest
from projects import Project

TABLE = "results/tiny/table1.csv"


def break_evaluation(project: Project) -> None:
    """Make evaluations end with an error, after many lines in their logs."""
    command = "import sys; print(*range(100), sep='\\n'); sys.exit('error: broken on purpose')"
    start = "    parser = argparse"
    project.replace("workflow/scripts/measure.py", start, f"    {command}\n{start}")


def on_a_terminal(project: Project, *arguments: str) -> tuple[int, str]:
    """Run Snakemake on a pseudo-terminal; return its exit status and all that came there."""
    screen, program = pty.openpty()
    process = subprocess.Popen(
        project.command(*arguments),
        cwd=project.root,
        env={**os.environ, "TERM": "xterm"},
        stdout=program,
        stderr=program,
    )
    os.close(program)
    content = b""
    with contextlib.suppress(OSError):
        # The end is an error of a pseudo-terminal.
        while part := patient.read(screen, 600):
            content += part
    os.close(screen)
    return process.wait(), content.decode()


def test_without_a_terminal_each_job_is_a_line_and_the_table_follows(project: Project) -> None:
    printed = project.snakemake("--forcerun=evaluate", TABLE)
    # The first line is Snakemake's, about its profile; times are left out.
    lines = [re.sub(r"(, | done in )[^:]* s\b", "", line) for line in printed.splitlines()[1:]]
    runs = [line.removeprefix(f"{done} of 3 jobs: ") for done, line in enumerate(lines[:2], 1)]
    assert sorted(runs) == ["evaluate/plain-8-kwi-seed1", "evaluate/residual-8-hmwi-seed1"]
    assert lines[2:6] == ["3 of 3 jobs: table1", "3 jobs", "", "# Table 1"]
    assert lines[-1] == "(results/tiny/table1.md)"
    assert "\x1b" not in printed and "\r" not in printed
    # Nothing is lost.
    log = max((project.root / ".snakemake" / "log").glob("*.log")).read_text("utf-8")
    assert "rule evaluate:" in log and "reason: Forced execution" in log


def test_an_error_shows_the_end_of_the_log_and_what_to_do(project: Project) -> None:
    break_evaluation(project)
    printed = project.snakemake(TABLE, fails=True)
    for run in ("plain-8-kwi-seed1", "residual-8-hmwi-seed1"):
        log = f"results/tiny/logs/evaluate/{run}.log"
        error = f"Error in evaluate/{run} (exit status 1)\n  The end of {log}:\n    81\n    82\n"
        assert error in printed and f"\n  evaluate/{run}\n" in printed
    assert printed.count("    99\n    error: broken on purpose\n") == 2
    assert "\nOf 3 jobs: 2 failed (" in printed
    assert "CalledProcessError" not in printed and "measure.py" not in printed
    assert "Table 1" not in printed
    log = re.search("^Complete log: (.*)$", printed, re.MULTILINE)
    assert log and (project.root / log[1]).exists()


def test_on_a_terminal_a_bar_is_the_only_line_besides_errors(project: Project) -> None:
    break_evaluation(project)
    status, text = on_a_terminal(project, TABLE)
    assert status == 1
    # What stays on the screen: a line is what was written after it was cleared for the last time.
    lines = [line.rpartition("\r\x1b[K")[2] for line in text.split("\r\n")]
    bar = re.compile(r"\r\x1b\[K\[-{20}\] 0 of 3 jobs, \d+ s: evaluate/")
    assert bar.search(text) and not [line for line in lines if line.startswith("[")]
    assert lines[1].startswith("Error in evaluate/") and lines[2].startswith("  The end of ")
    assert lines.count("    error: broken on purpose") == 2


@pytest.mark.thorough
def test_all_of_it_ends_with_the_numbers_the_verdicts_and_the_report(
    everything: Project, tmp_path: Path
) -> None:
    project = everything.copy_to(tmp_path / "project")
    printed = project.snakemake("all", "--forcerun=claims")
    _, _, end = printed.partition("jobs done in ")
    assert re.search(r"^  8 +\d\.\d+, 0\.\d+ +\d\.\d+, 0\.\d+$", end, re.MULTILINE)
    assert re.search(r"^ +\d+ statements that hold \(\d+ reproduced", end, re.MULTILINE)
    assert re.search(r"^ +\d+ numbers compared", end, re.MULTILINE)
    assert end.endswith("\nEverything on one page: results/tiny/report.html\n")
    assert end.count("\n") <= 14


def test_a_summary_that_fails_fails_no_run(project: Project) -> None:
    module = "workflow/scripts/resnoise/console/summary.py"
    project.replace(module, "def text(", "def other(")
    printed = project.snakemake("--forcerun=table1", TABLE)
    assert "no summary of the results: " in printed and "Traceback" not in printed
