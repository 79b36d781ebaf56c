"""The provenance of a finished run, as a crate that archives take."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import documents
import pytest
from projects import ROOT, Project

pytestmark = pytest.mark.thorough


def test_a_finished_run_becomes_a_workflow_run_crate(everything: Project, tmp_path: Path) -> None:
    for package in ("snakemake_report_plugin_fairscape", "rocrate_validator", "rocrate"):
        pytest.importorskip(package)
    from rocrate_validator import models, services

    project = everything.copy_to(tmp_path / "project")
    page = ROOT / "docs" / "results.md"
    (text,) = (code for language, code in documents.blocks(page) if language == "console")
    install, *commands = text.strip().splitlines()
    assert install.split()[-1] in (ROOT / "envs" / "requirements-test.txt").read_text("utf-8")
    for command in commands:
        words = shlex.split(command.replace("config/quick.yaml", "config/tiny.yaml"))
        program = words[2:] if words[0] == "python" else words
        (project.root / "archive" / "run").mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", *program], cwd=project.root, check=True)
    file = project.root / "archive" / "run" / "ro-crate-metadata.json"
    crate = json.loads(file.read_text("utf-8"))
    actions = [one for one in crate["@graph"] if one["@type"] == "CreateAction"]
    assert len(actions) > 40 and "s3cret" not in file.read_text("utf-8")
    # The context without the network, from the package that brings it.
    import rocrate

    folder = Path(rocrate.__path__[0], "data")
    context = json.loads((folder / "ro-crate.jsonld").read_text("utf-8"))["@context"]
    crate["@context"][0] = context
    file.write_text(json.dumps(crate), "utf-8")
    settings = services.ValidationSettings(
        rocrate_uri=str(file.parent),
        profile_identifier="process-run-crate-0.5",
        requirement_severity=models.Severity.REQUIRED,
        metadata_only=True,
    )
    issues = services.validate(settings).get_issues()
    assert [issue.message for issue in issues] == []
