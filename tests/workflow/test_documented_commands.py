"""Every command of the documentation runs where only envs/requirements.txt is installed."""

import shlex
import shutil
import zipfile
from collections import defaultdict
from pathlib import Path

import documents
import pure_environment
import pytest
from projects import ROOT, Project, fresh_project
from snakemake.cli import get_argument_parser

COMMANDS = [(page, words) for page in documents.PAGES for words in documents.commands(page)]
# What docs/extending.md describes is not there before its reader has added it.
SCRIPTS = {
    tuple(words)
    for page in documents.PAGES
    if page.name != "extending.md"
    for words in documents.commands(page, "python workflow/scripts/")
}
PARSER = get_argument_parser()


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the programs of an environment with the requirements and nothing else."""
    return pure_environment.make(tmp_path_factory.mktemp("requirements") / "environment")


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
    (project.root / "published").mkdir()
    (project.root / "published/configuration.yaml").touch()
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


@pytest.mark.thorough
def test_targets_can_be_made(project: Project, programs: Path) -> None:
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
            words = ["snakemake", "--cores", "2", *others, "--dry-run", *more]
            pure_environment.run(programs, shlex.join(words), project.root)


@pytest.mark.thorough
def test_reports_and_scripts_run(everything: Project, programs: Path, tmp_path: Path) -> None:
    project = everything.copy_to(tmp_path / "project")
    (project.root / "docs").mkdir()
    shutil.copytree(project.results, project.root / "results" / "again")
    # Commands are as in the documentation, but for the configuration and its folders.
    places = {
        **dict.fromkeys(("config/quick.yaml", "my.yaml"), "config/tiny.yaml"),
        "results/quick": "results/tiny",
    }
    reports = [words for _, words in COMMANDS if PARSER.parse_args(words).report]
    assert len(reports) >= 2 and len(SCRIPTS) > 5
    commands = [["snakemake", *words] for words in reports]
    commands += [["python", f"workflow/scripts/{words[0]}", *words[1:]] for words in SCRIPTS]
    for command in commands:
        words = [places.get(word, word) for word in command]
        if "compare.py" in words[1]:
            words = [*words[:2], "results/tiny", "results/again"]
        pure_environment.run(programs, shlex.join(words), project.root)
    assert (project.root / "report.html").stat().st_size > 1_000_000
    with zipfile.ZipFile(project.root / "report.zip") as files:
        assert any(name.endswith("claims.html") for name in files.namelist())


def test_the_picture_of_the_rules_is_up_to_date(
    project: Project, programs: Path, tmp_path: Path
) -> None:
    drawn = tmp_path / "rulegraph.svg"
    command = ["python", "workflow/scripts/rulegraph.py", "--output", str(drawn)]
    pure_environment.run(programs, shlex.join(command), project.root)
    committed = (ROOT / "docs" / "rulegraph.svg").read_text("utf-8")
    assert drawn.read_text("utf-8") == committed, "run workflow/scripts/rulegraph.py"
