"""Every command of the documentation is one that Snakemake takes, and its targets can be made."""

import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import documents
import pytest
from projects import ROOT, Project, fresh_project
from snakemake.cli import get_argument_parser

COMMANDS = [(page, words) for page in documents.PAGES for words in documents.commands(page)]
PARSER = get_argument_parser()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a checkout without results, with the files that a reader writes."""
    project = fresh_project(tmp_path_factory.mktemp("documented") / "project")
    for page, file in (("own-networks.md", "own.yaml"), ("any-network.md", "any.yaml")):
        blocks = documents.blocks(ROOT / "docs" / page)
        # A whole file; others are parts of one.
        (whole,) = (text for kind, text in blocks if kind == "yaml" and "results:" in text)
        (project.root / file).write_text(whole, "utf-8")
    (project.root / "mine.th").touch()
    (project.root / "nets.py").touch()
    (project.root / "vgg.pt").touch()
    (project.root / "my.yaml").touch()
    # The target runs needs one.
    run = "\nruns: [{architecture: plain, initialisation: kwi}]\n"
    project.replace("config/config.yaml", "\ntable1:", f"{run}\ntable1:")
    return project


def test_options_are_snakemakes(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(COMMANDS) > 20
    wrong = []
    for page, words in COMMANDS:
        try:
            options = PARSER.parse_args(words)
        except SystemExit:
            wrong.append(f"{page.name}: {capsys.readouterr().err}")
            continue
        files = [str(file) for file in options.configfile or []]
        files += [f"{profile}/config.yaml" for profile in options.profile or []]
        wrong += [f"{page.name}: {f}" for f in files if not (project.root / f).is_file()]
    assert wrong == []


def test_targets_can_be_made(project: Project) -> None:
    # One start of Snakemake for all targets of one configuration: what single commands change in
    # it decides how, not what there is.
    targets: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for _, words in COMMANDS:
        options = PARSER.parse_args(words)
        targets[tuple(map(str, options.configfile or []))] |= {*options.targets}
    assert len(targets) > 2
    for files, names in targets.items():
        more = ["--configfile", *files] if files else []
        # This one chooses its configuration, so that it goes with no other.
        if others := sorted(names - {"quick"}):
            project.snakemake(*others, "--dry-run", *more, configfile=None)


def test_the_picture_of_the_rules_is_up_to_date(project: Project, tmp_path: Path) -> None:
    drawn = tmp_path / "rulegraph.svg"
    command = [sys.executable, "workflow/scripts/rulegraph.py", "--output", str(drawn)]
    subprocess.run(command, cwd=project.root, check=True)
    committed = (ROOT / "docs" / "rulegraph.svg").read_text("utf-8")
    assert drawn.read_text("utf-8") == committed, "run workflow/scripts/rulegraph.py"
