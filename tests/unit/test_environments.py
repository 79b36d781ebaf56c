"""Environments, requirements and imports agree: every rule can run in its own environment."""

import ast
import re
import sys
from pathlib import Path

import pytest
import yaml

from resnoise import provenance, registry

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))
# Import name -> package name, where they differ.
PACKAGES = {
    "PIL": "pillow",
    "markdown_it": "markdown-it-py",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}


def pins(lines: list[str]) -> dict[str, str]:
    """Return {package: version} of lines such as "numpy==2.0"."""
    found = {}
    for line in lines:
        if match := re.fullmatch(r"([a-z0-9_.-]+)==([a-z0-9.]+)", line.strip().lower()):
            found[match[1]] = match[2]
    return found


def environment_pins(file: Path) -> dict[str, str]:
    content = yaml.safe_load(file.read_text("utf-8"))
    (packages,) = [item["pip"] for item in content["dependencies"] if isinstance(item, dict)]
    found = pins(packages)
    assert len(found) == len(packages), f"{file.name}: every package needs one exact version"
    return found


def requirements() -> dict[str, str]:
    return pins((ROOT / "envs" / "requirements.txt").read_text("utf-8").splitlines())


def scripts_by_environment() -> dict[str, set[str]]:
    """Return which scripts run in which environment, as the rules say."""
    found: dict[str, set[str]] = {}
    for file in (ROOT / "rules").glob("*.smk"):
        for rule in re.split(r"^rule ", file.read_text("utf-8"), flags=re.MULTILINE)[1:]:
            environment = re.search(r'conda:\s+"\.\./envs/([a-z0-9-]+\.yaml)"', rule)
            script = re.search(r'script=script\("(\w+\.py)"\)', rule)
            assert environment and script, f"{file.name}: a rule without environment or script"
            found.setdefault(environment[1], set()).add(script[1])
    return found


def all_modules(script: str, *plugins: str) -> frozenset[str]:
    """Return the modules of this project that a script imports, those without a digest included."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(provenance, "EXEMPT", set())
        return provenance.closure.__wrapped__(script, *plugins)


def third_party_imports(script: str) -> set[str]:
    """Return the packages that a script and its modules, plugins included, import."""
    modules = all_modules(script)
    if "resnoise.registry" in modules:
        plugins = [architecture.module for architecture in registry.ARCHITECTURES.values()]
        modules = all_modules(script, *plugins, *registry.INITIALISATIONS.values())
    files = [provenance.SCRIPTS / script]
    for name in modules:
        path = provenance.SCRIPTS.joinpath(*name.split("."))
        files.append(path / "__init__.py" if path.is_dir() else path.with_suffix(".py"))
    names: set[str] = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.module is not None
                names.add(node.module.partition(".")[0])
    names -= {*sys.stdlib_module_names, "resnoise"}
    return {PACKAGES.get(name, name) for name in names}


def test_every_rule_names_an_environment_that_is_there() -> None:
    assert set(scripts_by_environment()) == {file.name for file in ENVIRONMENTS}


@pytest.mark.parametrize("file", ENVIRONMENTS, ids=lambda file: file.stem)
def test_an_environment_holds_what_its_scripts_import_and_nothing_else(file: Path) -> None:
    scripts = scripts_by_environment()[file.name]
    imported = set().union(*(third_party_imports(script) for script in scripts))
    assert set(environment_pins(file)) == imported


@pytest.mark.parametrize("file", ENVIRONMENTS, ids=lambda file: file.stem)
def test_an_environment_has_the_versions_of_the_requirements(file: Path) -> None:
    pinned = requirements()
    assert {n: v for n, v in environment_pins(file).items() if pinned.get(n) != v} == {}


def test_the_requirements_have_nothing_that_no_environment_uses() -> None:
    used = set().union(*(environment_pins(file) for file in ENVIRONMENTS))
    assert {name for name in requirements() if not name.startswith("snakemake")} == used
