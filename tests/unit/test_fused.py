"""Fused Triton kernels, computed by Triton's interpreter on the CPU."""

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
    assert re.search(r"^8 passed", done.stdout, re.MULTILINE), done.stdout
