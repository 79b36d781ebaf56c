"""What runs on other machines is what runs here: CI, pre-commit, the lock of versions, the site."""

import re
import subprocess
from pathlib import Path

import documents
import pure_environment
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
CI = ROOT / ".ci" / "run"
LOCK = ROOT / "envs" / "requirements.lock.txt"


def pinned(file: str) -> dict[str, str]:
    lines = (ROOT / "envs" / file).read_text("utf-8").splitlines()
    return dict(line.split("==") for line in lines if re.fullmatch(r"[\w.-]+==[\w.]+", line))


def parts() -> list[str]:
    found = re.search(r"^parts=\((.*)\)$", CI.read_text("utf-8"), re.MULTILINE)
    assert found
    return found[1].split()


def test_each_part_of_the_ci_is_there_and_no_other_can_be_named() -> None:
    text = CI.read_text("utf-8")
    assert all(f"\n{part}() {{" in text for part in parts())
    done = subprocess.run([CI, "nonsense"], capture_output=True, text=True)
    assert done.returncode == 2 and "no part nonsense" in done.stderr


def test_hosted_jobs_call_parts_of_the_ci_and_nothing_else() -> None:
    (file,) = (ROOT / ".github" / "workflows").glob("*.yml")
    jobs = yaml.safe_load(file.read_text("utf-8"))["jobs"]
    called = set()
    for job in jobs.values():
        for step in job["steps"]:
            if "run" in step:
                program, *words = step["run"].split()
                assert program == ".ci/run" and {*words} <= {*parts()}
                called |= {*words}
            version = step.get("with", {}).get("python-version")
            assert version is None or f"python={version}" in (
                ROOT / "envs" / "torch.yaml"
            ).read_text("utf-8")
    assert {"install", "style", "tests", "thorough", "quick", "site"} <= called


def test_pre_commit_has_the_tools_and_versions_of_the_ci() -> None:
    text = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    found = {
        Path(one["repo"]).name.removesuffix("-pre-commit").removesuffix("-tool"): one["rev"]
        for one in yaml.safe_load(text)["repos"]
        if one["repo"] != "local"
    }
    versions = pinned("requirements-test.txt")
    assert found == {name: f"v{versions[name]}" for name in ("ruff", "snakefmt", "reuse")}


def test_the_lock_has_what_the_requirements_lead_to() -> None:
    locked: dict[str, list[Requirement]] = {}
    for line in LOCK.read_text("utf-8").splitlines():
        if not line.startswith("#"):
            one = Requirement(line)
            locked.setdefault(canonicalize_name(one.name), []).append(one)
    direct = pinned("requirements.txt")
    for name, version in direct.items():
        versions = {str(one.specifier) for one in locked[canonicalize_name(name)]}
        assert versions == {f"=={version}"}, f"{name}: run envs/lock.sh"
    packages = pure_environment.packages_of(ROOT / "envs" / "requirements.txt")
    # A newer release that pip has chosen says nothing of the one in the lock.
    as_locked = [
        package
        for package in packages
        if any(
            one.specifier.contains(package.version)
            for one in locked.get(canonicalize_name(package.name), [])
        )
    ]
    assert len(as_locked) >= len(direct)
    # What these packages ask of each other is there, and holds for the locked versions.
    for package in as_locked:
        for asked in map(Requirement, package.requires or ()):
            if asked.marker is None or asked.marker.evaluate({"extra": ""}):
                name = canonicalize_name(asked.name)
                assert name in locked, f"{package.name} asks for {asked}: run envs/lock.sh"
                here = [one for one in locked[name] if one.marker is None or one.marker.evaluate()]
                versions = {next(iter(one.specifier)).version for one in here}
                assert all(map(asked.specifier.contains, versions)), f"{asked}: run envs/lock.sh"


def test_every_page_is_in_the_contents_of_the_site() -> None:
    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    pages = [page.relative_to(ROOT).as_posix() for page in documents.PAGES]
    assert [page for page in pages if f"- {page}\n" not in text] == []
