"""Code digests: an edit changes those of the scripts whose results it can change, and no other."""

import ast
import dataclasses
import functools
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rule_files

from resnoise import commandline, provenance, registry
from resnoise.errors import ResnoiseError
from resnoise.provenance import (
    EXEMPT,
    changed_since,
    check,
    closure,
    code_digest,
    everything,
    promise,
    text_digest,
)


def network_code(architecture: registry.Architecture) -> tuple[str, ...]:
    """Return all modules that may compute networks of an architecture."""
    own = (architecture.own_code("auto"), architecture.own_code("triton"))
    return (architecture.module, *filter(None, own))


REAL = provenance.SCRIPTS
RULES = REAL.parents[1] / "rules"
PLUGINS = sorted(
    {
        name
        for architecture in registry.ARCHITECTURES.values()
        for name in network_code(architecture)
    }
    | {entry.module for entry in [*registry.INITIALISATIONS.values(), *registry.METRICS.values()]}
    | {source.module for source in registry.SOURCES.values()}
)
PLUGINS_OF_RUNS = [
    *(
        name
        for architecture in registry.ARCHITECTURES.values()
        for name in network_code(architecture)
    ),
    *(entry.module for entry in registry.INITIALISATIONS.values()),
]
REAL_SCRIPTS = sorted(file.name for file in REAL.glob("*.py"))

# A small project in which every way to import occurs once.
TREE = {
    "one.py": """
        import argparse
        import pack.plain, sibling
        from pack import member, number
        from pack.sub import value as other
        from resnoise.errors import Problem

        def main():
            from pack.late import late
        """,
    "two.py": "import pack.plain\n",
    "three.py": "import json\n",
    "relative.py": "import pack.relative\n",
    "sibling.py": "",
    "pack/__init__.py": "number = 1\n",
    "pack/plain.py": "import pack.deep\n",
    "pack/deep.py": "from pack import plain\n",
    "pack/member.py": "",
    "pack/late.py": "late = 1\n",
    "pack/unused.py": "",
    "pack/plugin.py": "import pack.below\n",
    "pack/below.py": "",
    "pack/relative.py": "from . import plain\n",
    "pack/sub/__init__.py": "value = 1\n",
    "pack/sub/kernel.c": "int zero(void) { return 0; }\n",
    "resnoise/__init__.py": "",
    "resnoise/errors.py": "import resnoise.behind\nclass Problem(Exception): pass\n",
    "resnoise/behind.py": "",
}
CLOSURES = {
    "one.py": {
        "pack",
        "pack.deep",
        "pack.late",
        "pack.member",
        "pack.plain",
        "pack.sub",
        "sibling",
    },
    "two.py": {"pack", "pack.deep", "pack.plain"},
    "three.py": set(),
}


def forget() -> None:
    """Empty the caches, as a new process would have them."""
    for value in vars(provenance).values():
        if isinstance(value, functools._lru_cache_wrapper):
            value.cache_clear()


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], None]]:
    """Return a function that takes another folder for the scripts."""
    forget()
    yield lambda folder: monkeypatch.setattr(provenance, "SCRIPTS", folder)
    forget()


@pytest.fixture
def tree(tmp_path: Path, use: Callable[[Path], None]) -> Path:
    """The small project."""
    for name, text in TREE.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(re.sub(r"(?m)^ {8}", "", text))
    use(tmp_path)
    return tmp_path


@pytest.fixture
def copy(tmp_path: Path, use: Callable[[Path], None]) -> Path:
    """A copy of this project's scripts."""
    folder = tmp_path / "scripts"
    shutil.copytree(REAL, folder, ignore=shutil.ignore_patterns("__pycache__"))
    use(folder)
    return folder


def digests(scripts: list[str], *plugins: str) -> dict[str, str]:
    """Return the digests as a new process would compute them."""
    forget()
    return {script: code_digest(script, "torch.yaml", *plugins) for script in scripts}


def changed(scripts: list[str], edit: Callable[[], object], *plugins: str) -> set[str]:
    """Return the scripts whose digest an edit changes."""
    before = digests(scripts, *plugins)
    edit()
    after = digests(scripts, *plugins)
    return {script for script in scripts if before[script] != after[script]}


def append(file: Path, text: str) -> Callable[[], object]:
    return lambda: file.write_text(file.read_text() + text)


def replace(file: Path, old: str, new: str) -> Callable[[], object]:
    text = file.read_text()
    assert text.count(old) == 1
    return lambda: file.write_text(text.replace(old, new))


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize("script", CLOSURES)
def test_the_closure_holds_every_imported_module_and_its_packages(script: str) -> None:
    assert closure(script) == CLOSURES[script]


@pytest.mark.usefixtures("tree")
def test_plugins_are_followed_like_imports() -> None:
    assert closure("three.py", "pack.plugin") == {"pack", "pack.plugin", "pack.below"}
    assert closure("three.py", "pack.late") == {"pack", "pack.late"}


def test_a_relative_import_is_refused_with_its_place(tree: Path) -> None:
    with pytest.raises(ValueError, match=rf"{tree / 'pack/relative.py'}:1: relative import"):
        closure("relative.py")


@pytest.mark.parametrize("module", sorted({*CLOSURES["one.py"], "pack.unused", "pack.below"}))
def test_a_changed_module_changes_the_digests_of_its_importers_only(
    tree: Path, module: str
) -> None:
    path = tree.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    expected = {script for script, modules in CLOSURES.items() if module in modules}
    if module == "resnoise":
        # What it offers is for notebooks alone.
        expected = set()
    assert changed([*CLOSURES], append(file, "extra = 2\n")) == expected


def test_a_changed_script_changes_its_own_digest_only(tree: Path) -> None:
    assert changed([*CLOSURES], append(tree / "two.py", "extra = 2\n")) == {"two.py"}


def test_a_changed_plugin_or_what_it_imports_changes_the_digest(tree: Path) -> None:
    for name in ("plugin", "below"):
        edit = append(tree / "pack" / f"{name}.py", "extra = 2\n")
        assert changed(["three.py"], edit, "pack.plugin") == {"three.py"}


@pytest.mark.usefixtures("tree")
def test_the_plugins_of_a_run_are_part_of_its_digest() -> None:
    plugins = [(), ("pack.plugin",), ("pack.late",), ("pack.late", "pack.plugin")]
    assert len({code_digest("three.py", "torch.yaml", *names) for names in plugins}) == 4
    assert code_digest("three.py", "torch.yaml", "pack.plugin", "pack.late") == code_digest(
        "three.py", "torch.yaml", "pack.late", "pack.plugin"
    )


@pytest.mark.usefixtures("tree")
def test_the_environment_of_a_run_is_part_of_its_digest() -> None:
    assert code_digest("one.py", "torch.yaml") != code_digest("one.py", "analysis.yaml")


def test_a_job_finds_the_code_that_it_was_promised(tree: Path) -> None:
    promised = promise("three.py", "torch.yaml", "pack.plugin")
    check(promised, load=False)
    # Formatting does not count, and neither does what the job does not use.
    for name in ("plugin", "late"):
        file = tree / "pack" / f"{name}.py"
        file.write_text("# a comment\n" + file.read_text())
    append(tree / "two.py", "extra = 2\n")()
    check(promised, load=False)


@pytest.mark.parametrize("module", ["three.py", "pack/plugin.py", "pack/below.py"])
def test_a_job_that_finds_other_code_is_refused(tree: Path, module: str) -> None:
    promised = promise("three.py", "torch.yaml", "pack.plugin")
    text = (tree / module).read_text()
    append(tree / module, "extra = 2\n")()
    with pytest.raises(ResnoiseError, match=r"the code of three.py, .* start the workflow again"):
        check(promised, load=False)
    (tree / module).write_text(text)
    check(promised, load=False)
    (tree / module).write_text("def (")
    with pytest.raises(ResnoiseError, match=r"three.py: its code cannot be read .*invalid syntax"):
        check(promised, load=False)


def test_what_changed_since_the_start_of_the_workflow_is_named(copy: Path) -> None:
    start = everything()
    assert {"train.py", "resnoise.seeds", "resnoise", "torch.yaml"} <= start.keys()
    job = ("train.py", "torch.yaml", "resnoise.networks.simplified")
    assert changed_since(start, *job) == []
    for name in ("seeds", "networks/simplified", "figures/figure3"):
        append(copy / "resnoise" / f"{name}.py", "\nextra = 2\n")()
    forget()
    assert changed_since(start, *job) == ["resnoise.networks.simplified", "resnoise.seeds"]


def test_a_line_of_the_registry_that_changed_since_the_start_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The digests of code say nothing of it, and a job has imported it before it asks."""
    plugins = registry.plugin_modules("plain", "kwi", "torch")
    job = ("train.py", "torch.yaml", *plugins)
    start = registry.facts()
    monkeypatch.setattr(commandline, "_promised", promise(*job))
    assert commandline.code(*job) == code_digest(*job)
    assert registry.changed_since(start) == []
    entry = dataclasses.replace(registry.ARCHITECTURES["plain"], residual=True)
    monkeypatch.setitem(registry.ARCHITECTURES, "plain", entry)
    now = ("train.py", "torch.yaml", *registry.plugin_modules("plain", "kwi", "torch"))
    with pytest.raises(ResnoiseError, match=r"for a network of train\.py was changed"):
        commandline.code(*now)
    assert registry.changed_since(start) == ["the registry's plain"]


def test_a_job_loads_its_code_before_it_compares_it() -> None:
    name = "resnoise.initialisations.hardt_ma"
    code = f"""
import sys
from resnoise import provenance
provenance.check(provenance.promise("trivial_case.py", "analysis.yaml", "{name}"), load=True)
print("{name}" in sys.modules)
"""
    assert python(code) == "True\n"


def test_data_files_of_an_imported_package_count(tree: Path) -> None:
    kernel = tree / "pack" / "sub" / "kernel.c"
    assert changed([*CLOSURES], append(kernel, "// faster\n")) == {"one.py"}
    header = kernel.with_suffix(".h")
    assert changed([*CLOSURES], lambda: header.write_text("")) == {"one.py"}
    assert changed([*CLOSURES], lambda: header.rename(header.with_name("b.h"))) == {"one.py"}


@pytest.mark.parametrize("name", ["kernel.pyc", ".kernel.c.swp", ".DS_Store"])
def test_what_python_and_editors_leave_in_a_package_does_not_count(tree: Path, name: str) -> None:
    file = tree / "pack" / "sub" / name
    assert changed([*CLOSURES], lambda: file.write_text("x")) == set()


def test_compiled_modules_do_not_count(tree: Path) -> None:
    cache = tree / "pack" / "__pycache__"
    cache.mkdir()
    assert changed([*CLOSURES], lambda: (cache / "plain.pyc").write_text("x")) == set()


def test_exempt_modules_and_what_only_they_import_do_not_count(tree: Path) -> None:
    for name in ("errors", "behind"):
        edit = append(tree / "resnoise" / f"{name}.py", "extra = 2\n")
        assert changed([*CLOSURES], edit) == set()


SOURCE = '''"""A module."""

import math


class Shape:
    """A shape."""

    side = 2


def area(shape, scale=1.5):
    """Return the area."""
    # The side is positive.
    return scale * math.pow(shape.side, 2)


async def later():
    """Return nothing."""
'''


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""A module."""', '"""Another module."""'),
        ('"""A shape."""', "'''Any\n    shape.'''"),
        ('    """Return the area."""\n', ""),
        ('"""Return nothing."""', "pass"),
        ("# The side is positive.", "# It is."),
        ("    # The side is positive.\n", ""),
        ("    return", "\n\n    return"),
        ("scale * math.pow(shape.side, 2)", "(\n        scale * math.pow(shape.side, 2)\n    )"),
        ("side = 2", "side = 0x2  # two"),
    ],
)
def test_comments_docstrings_and_formatting_do_not_count(tree: Path, old: str, new: str) -> None:
    file = tree / "pack" / "plain.py"
    file.write_text(SOURCE)
    assert changed([*CLOSURES], replace(file, old, new)) == set()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("side = 2", "side = 3"),
        ("scale=1.5", "scale=1.25"),
        ("math.pow", "math.hypot"),
        ("scale * math", "scale + math"),
        ("import math", "import cmath as math"),
        ("    return scale", "    scale = 0\n    return scale"),
        ('"""Return nothing."""', "return 1"),
    ],
)
def test_any_other_edit_counts(tree: Path, old: str, new: str) -> None:
    file = tree / "pack" / "plain.py"
    file.write_text(SOURCE)
    assert changed([*CLOSURES], replace(file, old, new)) == {"one.py", "two.py"}


# What versions of Python parse or print in different ways.
VERSIONED = r"""
from typing import Generic, TypeVar
T = TypeVar("T")
class Box(Generic[T]):
    "A box."
    def show(self, *names: str, width: int = 0x10, **rest: "T") -> str:
        text = f"{names[0]!r:>{width}} {rest['a']}" "é\n" f'{{{width=}}} {"x"}' rf"\d{T}"
        return text if rest else u"", *names
async def later(values):
    async for x, *y in values:
        z = [lambda a, /, b=None, *, c: -1.5e300j, {**x, "k": b"\0", None: ...}, a[1:, ::2]]
    match values:
        case {"a": [1, *_], **more} | Box(show=str() as x) if (n := 1):
            del more[n], (n)
    try:
        global w; w = yield
    except* ValueError as error:
        raise error from None
    with open(f"{'a' 'b'}") as file, later: pass
"""


def test_the_digest_is_the_same_in_all_versions_of_python(tree: Path) -> None:
    (tree / "pack" / "plain.py").write_text(VERSIONED, "utf-8")
    # Computed by 3.11, 3.12, 3.13, 3.14 and 3.15.
    assert provenance.digest("pack.plain") == "pack.plain 6a3b0b9eb9c7619e"


@pytest.mark.usefixtures("use")
def test_the_place_of_the_checkout_does_not_count(copy: Path, use: Callable[[Path], None]) -> None:
    here = digests(REAL_SCRIPTS, *PLUGINS)
    use(REAL)
    assert digests(REAL_SCRIPTS, *PLUGINS) == here
    assert copy != REAL


def test_an_edit_of_this_project_makes_stale_what_it_can_change(copy: Path) -> None:
    scripts = ["download_cifar10.py", "figure.py", "measure.py", "prepare_data.py", "table.py"]
    scripts.append("train.py")
    plugins = ("resnoise.networks.simplified", "resnoise.initialisations.hardt_ma")
    stale = {
        "summaries/published.py": {"table.py"},
        "data/download.py": {"download_cifar10.py"},
        "data/prepare.py": {"prepare_data.py"},
        # Of a source that is loaded by name.
        "data/digits.py": set(),
        "training/schedule.py": {"train.py"},
        "metrics/registered.py": {"measure.py"},
        # Of a table, a figure and a metric that are loaded by name.
        "tables/table1.py": set(),
        "figures/figure3.py": set(),
        "metrics/evaluation.py": set(),
        "networks/fully_fledged.py": set(),
        "initialisations/kaiming.py": set(),
        "commandline.py": set(),
        "registry.py": set(),
    }

    def comment_on_all() -> None:
        for file in copy.rglob("*.py"):
            file.write_text("# A comment.\n" + file.read_text())

    assert changed(scripts, comment_on_all, *plugins) == set()
    before = digests(scripts, *plugins)
    for module, expected in stale.items():
        append(copy / "resnoise" / module, "\nEXTRA = 1\n")()
        after = digests(scripts, *plugins)
        assert {name for name in scripts if after[name] != before[name]} == expected, module
        before = after


def test_the_text_digest_leaves_out_comments_and_blank_lines(tmp_path: Path) -> None:
    file = tmp_path / "environment.yaml"

    def digest(text: str) -> str:
        file.write_text(text)
        return text_digest(file)

    usual = digest("dependencies:\n  - python=3.12\n  - pip\n")
    same = "# What is needed.\n\ndependencies: # all\n  - python=3.12   # new\n\n  # x\n  - pip"
    assert digest(same) == usual
    for other in (
        "dependencies:\n  - python=3.13\n  - pip\n",
        "dependencies:\n  - python=3.12\n",
        "dependencies:\n  - pip\n  - python=3.12\n",
        "dependencies:\n- python=3.12\n  - pip\n",
        "dependencies:\n  - python=3.12\n  - pip#1\n",
    ):
        assert digest(other) != usual


def modules() -> set[str]:
    """Return the names of all modules of the package."""
    names = set()
    for file in (REAL / "resnoise").rglob("*.py"):
        parts = file.relative_to(REAL).with_suffix("").parts
        names.add(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


def of_room(room: str) -> set[str]:
    """Return the modules of a folder of the package."""
    return {name for name in modules() if name.startswith(f"resnoise.{room}.")}


def test_no_module_imports_from_a_folder_that_comes_after_its_own() -> None:
    page = (REAL.parents[1] / "docs" / "results.md").read_text("utf-8")
    section = page.partition("## In the library")[2].partition("\n## ")[0]
    lines = re.findall(r"^\| ((?:`\w+/`(?:, )?)+) \|", section, re.MULTILINE)
    rank = {room: place for place, line in enumerate(lines) for room in re.findall(r"\w+", line)}
    assert {*rank} == {name.split(".")[1] for name in modules() if name.count(".") > 1}
    upwards = {
        (name, other)
        for name in modules()
        if name.count(".") > 1
        for other in provenance._read(provenance._files(name)[0])[1]
        if other.count(".") > 1 and rank[other.split(".")[1]] > rank[name.split(".")[1]]
    }
    assert upwards == set()


def test_training_depends_on_nothing_that_is_made_from_its_results() -> None:
    behind = closure("train.py", *PLUGINS_OF_RUNS) | closure("twins.py", *PLUGINS_OF_RUNS)
    assert "resnoise.storage.digests" in behind
    later = ("summaries", "tables", "figures", "claims", "report", "comparison", "live", "plan")
    for room in (*later, "config", "metrics", "trained"):
        assert not behind & of_room(room), room
    # Markdown and PNG.
    assert "resnoise.storage.pages" not in behind


@pytest.mark.parametrize(
    "name", sorted(file.stem for file in (REAL / "resnoise/figures").glob("*.py"))
)
def test_a_figure_does_not_depend_on_the_text_of_tables(name: str) -> None:
    behind = closure("figure.py", f"resnoise.figures.{name}")
    assert not behind & (of_room("tables") | of_room("claims") | of_room("report"))


def test_measurements_depend_on_no_table_figure_or_page() -> None:
    behind = closure("measure.py", *(metric.module for metric in registry.METRICS.values()))
    for room in ("summaries", "tables", "figures", "claims", "report", "plan", "config"):
        assert not behind & of_room(room), room
    assert "resnoise.storage.pages" not in behind


def imported_by_rules() -> set[str]:
    """Return the modules that the rules import, directly or not."""
    lines = [
        line
        for file in sorted(RULES.rglob("*.smk"))
        for line in file.read_text().splitlines()
        if re.match(r"(from|import) resnoise\b", line)
    ]
    assert lines
    found: set[str] = set()
    for node in ast.parse("\n".join(lines)).body:
        if isinstance(node, ast.ImportFrom):
            names = {node.module or "", *(f"{node.module}.{a.name}" for a in node.names)}
        else:
            assert isinstance(node, ast.Import)
            names = {alias.name for alias in node.names}
        found |= names & modules()
    return found | closure("figure.py", *found)


def test_every_module_is_used_by_a_script_or_a_rule() -> None:
    made = re.findall(
        r'made_by\(\s*"(\w+\.\w+)"', "".join(map(Path.read_text, RULES.rglob("*.smk")))
    )
    figures = (metric.figure for metric in registry.METRICS.values() if metric.figure)
    plugins = [*PLUGINS, *figures, *(f"resnoise.{name}" for name in made)]
    used = set().union(*(closure(script, *plugins) for script in REAL_SCRIPTS))
    assert modules() - used - EXEMPT - imported_by_rules() == set()


def test_every_exempt_module_exists() -> None:
    assert modules() >= EXEMPT


def test_every_plugin_of_the_registry_is_a_module() -> None:
    assert modules() >= {*PLUGINS}


def python(code: str, *arguments: str) -> str:
    """Run code in a new process that finds the scripts, and return what it prints."""
    command = [sys.executable, "-c", code, *arguments]
    ended = subprocess.run(command, cwd=REAL, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_whatever_a_script_loads_is_in_its_closure() -> None:
    code = """
import json, runpy, sys
loaded = {}
for script in sys.argv[1:]:
    for name in [name for name in sys.modules if name.split(".")[0] == "resnoise"]:
        del sys.modules[name]
    runpy.run_path(script, run_name="imported")
    loaded[script] = [name for name in sys.modules if name.split(".")[0] == "resnoise"]
print(json.dumps(loaded))
"""
    loaded = json.loads(python(code, *REAL_SCRIPTS))
    for script, names in loaded.items():
        assert "resnoise.commandline" in names
        assert {*names} - closure(script) - EXEMPT == set(), script


def test_tables_and_figures_import_no_torch() -> None:
    code = """
import importlib, sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Blocker())
try:
    importlib.import_module("resnoise.seeds")
except ImportError:
    pass
else:
    sys.exit("the blocker does not block")
for name in sys.argv[1:]:
    importlib.import_module(name)
"""
    names = {name for room in ("figures", "summaries", "tables") for name in of_room(room)}
    assert {"resnoise.tables.table1", "resnoise.summaries.runs"} <= names
    python(code, *sorted(names))


def test_the_rules_import_neither_torch_nor_numpy() -> None:
    code = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(*sorted({"torch", "numpy", "pandas"} & sys.modules.keys()))
"""
    assert python(code, *sorted(imported_by_rules())) == "\n"


def test_every_job_is_told_which_code_it_must_find() -> None:
    rules = rule_files.read()
    asked = {rule.name for rule in rules.values() if "--code {params.running:q}" in rule.text}
    whole = {
        name
        for name, rule in rules.items()
        if rule.base is None and "{params.script:q}" in rule.text
    }
    # What is downloaded is known by its checksum.
    assert whole - asked == {"download_cifar10"}
    for name, rule in rules.items():
        if rule.base and rule.base.name in rule_files.TEMPLATES:
            assert re.search(
                r"running=|\*\*made_by|\*\*measured_by|\*\*loaded|\*\*judged_by", rule.text
            ), name


def test_what_the_package_offers_to_notebooks_makes_no_result_stale() -> None:
    assert not {"resnoise", "resnoise.api"} & closure("train.py", *PLUGINS_OF_RUNS)


@pytest.mark.parametrize("conv_backend", ["auto", "torch", "native", "triton"])
def test_fused_kernels_are_code_of_the_runs_that_ask_for_them(conv_backend: str) -> None:
    metric = registry.METRICS["evaluation"].module
    for modules in (
        registry.plugin_modules("plain", "kwi", conv_backend),
        registry.network_modules("measure.py", "plain", conv_backend, metric),
    ):
        assert ("resnoise.native.fused" in modules) == (conv_backend == "triton")
        assert ("resnoise.native.network" in modules) == (conv_backend in ("auto", "native"))


@pytest.mark.parametrize("change", [{"residual": True}, {"builder": "build_lower_full"}])
def test_what_the_registry_says_of_a_network_is_code_of_its_runs(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    # Without its cache, which would outlive the change.
    monkeypatch.setattr(registry, "network_modules", registry.network_modules.__wrapped__)
    before = digests_of_runs()
    changed = dataclasses.replace(registry.ARCHITECTURES["plain"], **change)
    monkeypatch.setitem(registry.ARCHITECTURES, "plain", changed)
    assert not {*before} & {*digests_of_runs()}


def digests_of_runs() -> list[str]:
    metric = registry.METRICS["evaluation"].module
    return [
        code_digest("train.py", "torch.yaml", *registry.plugin_modules("plain", "kwi", "auto")),
        code_digest(
            "measure.py",
            "torch.yaml",
            *registry.network_modules("measure.py", "plain", "auto", metric),
        ),
    ]
