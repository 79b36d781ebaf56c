"""The documentation says what is so: references, links, names, keys, files and messages."""

import importlib.util
import re
from pathlib import Path

import documents
import pytest
import rule_files
import yaml
from documents import PAGES, ROOT

from resnoise.config import page as config_page
from resnoise.config.page import reference

SCHEMA = ROOT / "config" / "schema.yaml"
EXPERIMENTS = ROOT / "docs" / "experiments.md"
TROUBLESHOOTING = ROOT / "docs" / "troubleshooting.md"
KEYS = {key for key, _, _, _ in reference(SCHEMA)}
WORKFLOW = "".join(
    file.read_text("utf-8") for file in [ROOT / "Snakefile", *(ROOT / "rules").rglob("*.smk")]
)
COLLECTING = set(re.findall(r"^rule (\w+):", (ROOT / "Snakefile").read_text("utf-8"), re.MULTILINE))
RULES = COLLECTING | {*rule_files.making()}
# Rules of the paper's measurements, tables and figures; others are on pages of their own.
PAPERS = [
    rule
    for name, rule in rule_files.making().items()
    if not name.startswith(("external", "conjecture"))
    and name not in ("run_table", "metric", "metric_table")
]
# Folders whose files pages may name.
FOLDERS = "config|docs|envs|profiles|reference|rules|slurm|ssh|tests|workflow"

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def test_the_reference_is_up_to_date() -> None:
    written = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    assert written == config_page.page(SCHEMA), "run workflow/scripts/configuration_page.py"


def test_the_reference_has_every_key_with_its_own_default() -> None:
    text = config_page.page(SCHEMA)
    written = SCHEMA.read_text("utf-8").partition("$defs:")[0]
    words = set(re.findall(r"^ +(\w+):$", written, re.MULTILINE))
    names = words - {"properties", "items", "default", "not"}
    shown = {key.rpartition(".")[2] for key in re.findall(r"`([\w.\[\]]+)`", text)}
    assert len(names) > 50
    assert sorted(names - shown) == []
    # Two families share one recipe and differ in this default.
    assert "**`training.simplified.learning_rate`** (default `0.005`)" in text
    assert "**`training.fully_fledged.learning_rate`** (default `0.1`)" in text


@every_page
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)", page.read_text("utf-8")):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        there = page.parent / file if file else page
        assert there.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in documents.anchors(there), f"{page.name}: {target}"


@every_page
def test_named_files_exist(page: Path) -> None:
    named = re.findall(rf"(?<![\w/.])(?:{FOLDERS})/[\w./*-]*\w", page.read_text("utf-8"))
    # Files that a reader is to write have their names above their content, or as a comment in it.
    written = re.findall(
        r"^ *# (\w+/\w+\.yaml)$|^`([\w/]+\.py)`$", page.read_text("utf-8"), re.MULTILINE
    )
    written = [name for names in written for name in names]
    missing = [name for name in {*named} - {*written} if not [*ROOT.glob(name)]]
    assert missing == []


def test_every_page_is_listed_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert [page.name for page in PAGES[3:] if f"](docs/{page.name})" not in readme] == []


@pytest.mark.parametrize("name", ["README.md", "docs/results.md", "docs/own-networks.md"])
def test_results_have_the_names_that_pages_say(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    files = re.findall(r"`[\w/<>-]*?([\w-]+\.(?:csv|html|json|md|pdf|safetensors))`", text)
    made = {file for rule in rule_files.making().values() for file in rule.outputs}
    # Runs' other files, and those of commands.
    texts = WORKFLOW + documents.templates(ROOT / "workflow" / "scripts")
    there = [file for file in files if file in texts or (ROOT / "docs" / file).exists()]
    missing = {*files} - made - {*there}
    assert files and missing == set()


def rows(start: str) -> list[str]:
    """Return the rows of tables in the page of experiments whose first cell is ``start``."""
    return re.findall(rf"^\| {start} \| (.*) \|$", EXPERIMENTS.read_text("utf-8"), re.MULTILINE)


def test_every_experiment_leads_to_its_code() -> None:
    """One hop from a table or figure to what measures, summarises and draws it."""
    linked = {link for row in rows("code") for link in re.findall(r"resnoise/([\w/]+)\.py\)", row)}
    assert len(rows("code")) == len(rows("make")) + 1
    named = {name.removeprefix("resnoise.") for rule in PAPERS for name in rule.modules}
    assert {name.replace(".", "/") for name in named} - linked == set()


def test_keys_of_experiments_exist() -> None:
    listed = [re.findall(r"`([\w.*]+)`", row) for row in rows("keys")]
    assert len(listed) > 10
    unknown = []
    for names in listed:
        section = ""
        for name in names:
            # The section stands with the first of its keys.
            section = name.rpartition(".")[0] or section
            key = name if "." in name else f"{section}.{name}"
            if not name.startswith("_") and key.removesuffix(".*") not in KEYS:
                unknown.append(key)
    assert unknown == []


def test_every_section_of_the_configuration_belongs_to_an_experiment() -> None:
    text = EXPERIMENTS.read_text("utf-8")
    # Lists of sections are about what is beyond the paper.
    sections = {key.partition(".")[0] for key in KEYS if "." in key and "[]" not in key}
    sections -= {"data"}
    assert [name for name in sorted(sections) if not re.search(rf"`{name}[.`]", text)] == []


def test_targets_and_files_of_experiments_are_made_by_rules() -> None:
    text = EXPERIMENTS.read_text("utf-8")
    listed = re.findall(r"^\| \[[^|]*\| ([^|]*) \| ([^|]*) \|$", text, re.MULTILINE)
    assert len(listed) > 10
    targets = {name for row in listed for name in re.findall(r"`(\w+)`", row[0])}
    assert targets - RULES == set()
    files = {name for row in listed for name in re.findall(r"`([\w.]+)`", row[1])}
    made = {file for rule in rule_files.making().values() for file in rule.outputs}
    assert files - made == set()
    named = {name for row in rows("make") for name in re.findall(r"`(\w+)`", row)}
    assert named - RULES - {key.rpartition(".")[2] for key in KEYS} == set()


def test_the_picture_of_the_rules_has_all_that_make_files() -> None:
    shown = re.findall(r">(\w+)</text>", (ROOT / "docs" / "rulegraph.svg").read_text("utf-8"))
    # One rule is there only where runs are taken instead of being trained.
    assert RULES - COLLECTING - set(shown) == {"take"}


def quoted(origin: str) -> list[str]:
    """Return the messages of one origin that the page of error messages quotes."""
    found = [
        line
        for language, text in documents.blocks(TROUBLESHOOTING)
        if language == origin
        for line in text.splitlines()
    ]
    assert found
    return found


def test_every_message_has_an_origin() -> None:
    origins = {"resnoise", "snakemake", "snakemake-slurm", "other"}
    languages = {language for language, _ in documents.blocks(TROUBLESHOOTING)}
    assert languages == {*origins}


def test_quoted_messages_are_the_projects() -> None:
    texts = documents.templates(ROOT / "workflow" / "scripts")
    texts += "\n" + re.sub(r"\{\w+\}|\\n", "\0", WORKFLOW)
    assert [text for text in quoted("resnoise") if not documents.occurs(text, texts)] == []


def test_a_message_that_nobody_has_is_noticed() -> None:
    texts = documents.templates(ROOT / "workflow" / "scripts")
    assert documents.occurs("...: no such file", texts)
    assert not documents.occurs("...: no such folder", texts)


@pytest.mark.parametrize("origin", ["snakemake", "snakemake-slurm"])
def test_quoted_messages_are_snakemakes(origin: str) -> None:
    module = {"snakemake-slurm": "snakemake_executor_plugin_slurm"}.get(origin, origin)
    found = importlib.util.find_spec(module)
    assert found is not None and found.origin is not None
    texts = documents.templates(Path(found.origin).parent)
    assert [text for text in quoted(origin) if not documents.occurs(text, texts)] == []


@pytest.mark.parametrize("name", ["CITATION.cff", ".snakemake-workflow-catalog.yml"])
def test_metadata_can_be_read(name: str) -> None:
    assert isinstance(yaml.safe_load((ROOT / name).read_text("utf-8")), dict)
