"""What times a graphics card is rehearsed on the CPU, so that no minute of the card is lost."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.thorough
def test_a_rehearsal_on_the_cpu_comes_to_its_end() -> None:
    command = [sys.executable, BENCHMARKS / "card_speed.py", "--device", "cpu", "--depths", "8"]
    options = ("--batches", "1", "--rounds", "1", "--at-once", "1", "--seconds", "0.1")
    done = subprocess.run([*command, *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "residual-8, 1 at a time" in done.stdout
