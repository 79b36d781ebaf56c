"""What jobs import: PyTorch alone takes a second or two, and most jobs take not much longer."""

import json

import pytest
from projects import Project

pytestmark = pytest.mark.thorough


def test_no_job_imports_the_compiler(everything: Project) -> None:
    """It takes as long again as PyTorch, and some functions of PyTorch import it for a detail."""
    records = [
        json.loads(file.read_text("utf-8"))
        for file in (everything.root / ".processes").glob("*.json")
    ]
    assert len(records) > 50
    assert [record["command"] for record in records if record["compiler"]] == []
