"""Environments, requirements and imports agree: every rule can run in its own environment."""

import ast
import re
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest
import rule_files
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

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


def scripts_by_environment() -> dict[str, dict[str, set[str]]]:
    """Return which scripts run in which environment, with the modules that they load by name."""
    found: dict[str, dict[str, set[str]]] = {}
    for rule in rule_files.making().values():
        scripts = found.setdefault(rule.environment, {})
        scripts.setdefault(rule.script, set()).update(rule.modules)
    return found


def all_modules(script: str, *plugins: str) -> frozenset[str]:
    """Return the modules of this project that a script imports, those without a digest included."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(provenance, "EXEMPT", set())
        return provenance.closure.__wrapped__(script, *plugins)


def third_party_imports(script: str, *loaded: str) -> set[str]:
    """Return the packages that a script and its modules, plugins included, import."""
    modules = all_modules(script, *loaded)
    plugins = [*loaded]
    if "resnoise.networks" in modules:
        plugins += [architecture.module for architecture in registry.ARCHITECTURES.values()]
        plugins += [entry.module for entry in registry.INITIALISATIONS.values()]
    if "resnoise.metrics.registered" in modules:
        plugins += [registry.metric(name).module for name in registry.OWN_METRICS]
    if "resnoise.data.prepare" in modules:
        plugins += [source.module for source in registry.SOURCES.values()]
    modules = all_modules(script, *plugins)
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
    imported = set().union(
        *(third_party_imports(script, *loaded) for script, loaded in scripts.items())
    )
    assert set(environment_pins(file)) == imported


@pytest.mark.parametrize("file", ENVIRONMENTS, ids=lambda file: file.stem)
def test_an_environment_has_the_versions_of_the_requirements(file: Path) -> None:
    pinned = requirements()
    assert {n: v for n, v in environment_pins(file).items() if pinned.get(n) != v} == {}


def test_the_requirements_have_nothing_that_no_environment_uses() -> None:
    used = set().union(*(environment_pins(file) for file in ENVIRONMENTS))
    snakemake = {name for name in requirements() if name.startswith("snakemake")}
    # What snakemake --report needs besides.
    assert {*requirements()} == used | snakemake | {"pygments"}


def test_the_requirements_are_what_is_installed_and_tested() -> None:
    installed = {name: distribution(name).version.partition("+")[0] for name in requirements()}
    assert installed == requirements()


@pytest.mark.parametrize("name", requirements())
def test_a_version_satisfies_what_the_other_packages_ask_for(name: str) -> None:
    pinned = requirements()
    asked = [Requirement(line) for line in distribution(name).requires or []]
    unmet = [
        requirement
        for requirement in asked
        if requirement.name.lower() in pinned
        and (requirement.marker is None or requirement.marker.evaluate({"extra": ""}))
        and not requirement.specifier.contains(pinned[requirement.name.lower()])
    ]
    assert unmet == []


@pytest.mark.parametrize("file", ENVIRONMENTS, ids=lambda file: file.stem)
def test_the_python_of_an_environment_is_one_that_its_packages_support(file: Path) -> None:
    (python,) = [
        item.partition("=")[2]
        for item in yaml.safe_load(file.read_text("utf-8"))["dependencies"]
        if isinstance(item, str) and item.startswith("python=")
    ]
    for name in environment_pins(file):
        asked = SpecifierSet(distribution(name).metadata["Requires-Python"])
        assert asked.contains(f"{python}.1"), name


@pytest.mark.parametrize("build", ["cpu", "cu126"])
def test_pip_prefers_a_build_of_pytorch_s_own_index_to_the_same_version_of_pypi(build: str) -> None:
    for name in ("torch", "torchvision"):
        pinned = requirements()[name]
        assert SpecifierSet(f"=={pinned}").contains(f"{pinned}+{build}")
        assert Version(f"{pinned}+{build}") > Version(pinned)
