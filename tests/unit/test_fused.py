"""Fused Triton kernels, computed by Triton's interpreter on the CPU."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.thorough
def test_all_checks_pass_with_the_interpreter() -> None:
    """Triton reads this variable when it is imported, so the checks have a process of their own."""
    pytest.importorskip("triton")
    checks = Path(__file__).with_name("fused_checks.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", str(checks)],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^11 passed", done.stdout, re.MULTILINE), done.stdout


@pytest.mark.thorough
def test_they_compile_for_a_card_and_keep_their_numbers_in_registers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The interpreter does not see what only the compiler refuses."""
    pytest.importorskip("triton")
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    instructions = importlib.import_module("fused_instructions")
    # Of each kernel the last launch, of the largest pictures.
    found = {launch.name: launch for launch in instructions.launches("residual", 8, 128, 32)}
    assert len(found) == 5
    for launch in found.values():
        number, words = instructions.instructions(instructions.compiled(launch), 1)
        assert number > 100 and "spilled" not in words, launch
