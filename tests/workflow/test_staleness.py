"""After a change, exactly the outputs that depend on it are stale: no more, and no fewer.

What depends on a file is not asked of the program: each process of the finished project recorded
the files that it used (see recorder). What depends on a key of the configuration stands in
``KEYS``. What depends on a job's outputs says Snakemake's plan to make everything.
"""

import contextlib
import itertools
import json
import os
import re
import shutil
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import rule_files
import yaml
from PIL import Image
from plans import Job, Planner, read_plan
from projects import CORE, EVERYTHING_TARGETS, ROOT, Project

from resnoise.config.page import reference
from resnoise.config.schema import SCHEMA_PATH
from resnoise.storage.checksum import check_sha256

pytestmark = pytest.mark.thorough

CONFIG = "config/tiny.yaml"
SCRIPTS = "workflow/scripts/"
LIBRARY = "workflow/scripts/resnoise/"
TABLES = {"table1": 1}
FIGURES = {"training_curves": 1}
EVALUATIONS = {"evaluate": 2}
TRAINING = {"train": 2, **EVALUATIONS, **TABLES, **FIGURES}
EVERYTHING = {"prepare_data": 1, **TRAINING}
ONE_OF_TWO_RUNS = {"train": 1, "evaluate": 1, **TABLES, **FIGURES}


class Finished(NamedTuple):
    """The finished project, all its jobs by name, and the files of the project that each used."""

    project: Project
    jobs: dict[str, Job]
    used: dict[str, set[str]]

    def depending(self, names: set[str]) -> set[str]:
        """Return jobs and all that depend on their outputs."""
        found: set[str] = set()
        while names:
            found |= names
            outputs = {output for name in names for output in self.jobs[name].outputs}
            names = {
                name for name, job in self.jobs.items() if not outputs.isdisjoint(job.inputs)
            } - found
        return found

    def matching(self, *patterns: str) -> set[str]:
        """Return the jobs whose names match one of some patterns, each of which matches one."""
        found = [{name for name in self.jobs if re.match(pattern, name)} for pattern in patterns]
        assert all(found), patterns
        return set().union(*found)


@pytest.fixture(scope="module")
def done(everything: Project, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A copy of the finished project, which tests may edit if they take the edit back."""
    project = everything.copy_to(tmp_path_factory.mktemp("edited") / "project")
    # The same network in another place.
    shutil.copy(project.root / "mine.pt", project.root / "other.pt")
    (project.root / "net.py").write_text("def make():\n    pass\n", "utf-8")
    plan = read_plan(project.snakemake("--dry-run", "--forceall", *EVERYTHING_TARGETS))
    jobs = {job.name: job for job in plan}
    makers = {output: job.name for job in plan for output in job.outputs}
    used: dict[str, set[str]] = {name: set() for name in jobs}
    records = [*(project.root / ".processes").glob("*.json")]
    for file in records:
        record = json.loads(file.read_text("utf-8"))
        words = {word for word in record["command"] if word in makers}
        # The others are inputs.
        (name,) = {
            maker
            for maker in (makers[word] for word in words)
            if words.difference(jobs[maker].outputs) <= {*jobs[maker].inputs}
        }
        used[name].update(record["used"])
    assert all(used.values())
    return Finished(project, jobs, used)


@pytest.fixture(scope="module")
def planner() -> Iterator[Planner]:
    """Plans of edited code."""
    with Planner() as found:
        yield found


@pytest.fixture(scope="module")
def config_planner(done: Finished) -> Iterator[Planner]:
    """Plans of the finished project with other configurations."""
    with Planner(done.project.root) as found:
        yield found


@contextlib.contextmanager
def edited(project: Project, edits: Mapping[str, str]) -> Iterator[None]:
    """Give files other texts, and take that back, times included."""
    before = {}
    for name, text in edits.items():
        path = project.root / name
        before[path] = (path.read_bytes(), path.stat())
        path.write_text(text, "utf-8")
    try:
        yield
    finally:
        for path, (content, status) in before.items():
            path.write_bytes(content)
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def names(jobs: list[Job]) -> set[str]:
    return {job.name for job in jobs}


def counts(jobs: list[Job]) -> dict[str, int]:
    return dict(Counter(job.rule for job in jobs))


def test_a_finished_project_has_nothing_to_do(done: Finished, planner: Planner) -> None:
    assert planner.jobs(done.project) == []
    rules = {job.rule for job in done.jobs.values()}
    assert {*rule_files.making()} - rules == {"download_cifar10"}


# Code: which jobs depend on which files.

# What a process uses and what yet cannot change a number.
NEUTRAL = {
    "__init__.py": "names for notebooks",
    "commandline.py": "logging and error messages",
    "data/progress.py": "progress",
    "environment.py": "facts about the host, for the record only",
    "errors.py": "error messages",
    "parameters.py": "names; the numbers are in the specification of a run",
    "provenance.py": "digests, which the rules pass",
    "storage/identity.py": "refuses files of other runs",
    "storage/store.py": "finds what the same code has made before",
    "registry.py": "names; what it says of a run's network is a parameter of its own",
    "training/log_lines.py": "lines of the log",
    "training/progress.py": "progress",
}
# Used only by what is neutral, in the jobs of these rules.
BY_NEUTRAL = {"prepare_data": LIBRARY + "storage/digests.py"}
# What no process of the tiny project uses, and whoever uses another file may in a larger one: its
# networks are too narrow for the C code.
ELSEWHERE_USED = {LIBRARY + "native/conv.c": LIBRARY + "native/build.py"}


def code_files() -> list[str]:
    """Return all files that a script may be made of, with the environments."""
    files = [*(ROOT / SCRIPTS).rglob("*"), *(ROOT / "envs").glob("*.yaml")]
    kept = (file for file in files if file.is_file() and "__pycache__" not in file.parts)
    return sorted(str(file.relative_to(ROOT)) for file in kept)


def digest_name(file: str) -> str:
    """Return the name under which a digest covers a file: that of script, module or package."""
    if not file.startswith(LIBRARY):
        return Path(file).name
    path = Path(file).relative_to(SCRIPTS)
    module = (
        path.with_suffix("") if path.suffix == ".py" and path.stem != "__init__" else path.parent
    )
    return ".".join(module.parts)


def changed_digests(before: list[str], now: list[str]) -> set[str]:
    """Return the names of the digests that differ between two lists of parameters."""
    pairs = [
        {pair for text in texts for pair in re.findall(r"'([\w.]+) ([0-9a-f]{16})'", text)}
        for texts in (before, now)
    ]
    return {name for name, _ in pairs[0] ^ pairs[1]}


def edit_of(file: str, text: str) -> str:
    """Return another text for a file that changes what it says, and breaks nothing."""
    if file.endswith(".py"):
        return f"{text}\n\nEDITED = True\n"
    return text.replace("==", ">=", 1) if file.startswith("envs/") else f"{text}\n/* edited */\n"


@pytest.mark.parametrize("python", [True, False])
def test_every_job_depends_on_the_files_that_its_process_used(
    done: Finished, planner: Planner, python: bool
) -> None:
    files = [file for file in code_files() if file.endswith(".py") == python]
    environments = {rule.name: f"envs/{rule.environment}" for rule in rule_files.making().values()}
    edits = {file: edit_of(file, (done.project.root / file).read_text("utf-8")) for file in files}
    with edited(done.project, edits):
        changes = planner.changed_parameters(done.project)
    neutral = {LIBRARY + name for name in NEUTRAL}
    wrong = {}
    for name, job in done.jobs.items():
        before, now = changes.get(job.outputs[0], ([], []))
        used = done.used[name] | {environments[job.rule]}
        used |= {file for file, user in ELSEWHERE_USED.items() if user in used}
        expected = {*files} & used - neutral - {BY_NEUTRAL.get(job.rule)}
        found = changed_digests(before, now)
        if found != {digest_name(file) for file in expected}:
            wrong[name] = found ^ {digest_name(file) for file in expected}
    assert wrong == {}


EDITS = {
    "networks": (LIBRARY + "networks/simplified.py", "x.mean((2, 3))", "x.amax((2, 3))", TRAINING),
    "fully-fledged networks, of which there is no run": (
        LIBRARY + "networks/fully_fledged.py",
        "y.add_(self.shortcut(x))",
        "y.sub_(self.shortcut(x))",
        {},
    ),
    "KWI": (
        LIBRARY + "initialisations/kaiming.py",
        "math.sqrt(2 /",
        "math.sqrt(3 /",
        ONE_OF_TWO_RUNS,
    ),
    "HMWI": (
        LIBRARY + "initialisations/hardt_ma.py",
        "1 / (height",
        "2 / (height",
        ONE_OF_TWO_RUNS,
    ),
    "schedule": (LIBRARY + "training/schedule.py", "epoch - 1 >=", "epoch >=", TRAINING),
    "batches": (LIBRARY + "training/batches.py", "< 0.5", "< 0.4", TRAINING),
    "objective": (
        LIBRARY + "training/objective.py",
        "self.coefficient / 2 * sum",
        "self.coefficient / 3 * sum",
        TRAINING,
    ),
    "file format": (
        LIBRARY + "storage/tensorfile.py",
        '"sha256": digest',
        '"digest": digest',
        EVERYTHING,
    ),
    "entry script of training": ("workflow/scripts/train.py", "default=1", "default=2", TRAINING),
    "evaluation of a run": (
        LIBRARY + "metrics/evaluation.py",
        "risk + weight_term",
        "risk - weight_term",
        {**EVALUATIONS, **TABLES},
    ),
    "table": (LIBRARY + "tables/table1.py", "Runs that diverged", "The runs that diverged", TABLES),
    "figure": (LIBRARY + "figures/training_curves.py", "(7.2, 3.0)", "(7.2, 3.1)", FIGURES),
    "figure style": (LIBRARY + "figures/style.py", '"font.size": 9', '"font.size": 8', FIGURES),
    "reading histories": (
        LIBRARY + "summaries/runs.py",
        '"seed": spec',
        '"seed": 0 * spec',
        FIGURES,
    ),
    "digits": (
        LIBRARY + "data/digits.py",
        "import numpy as np",
        "import numpy as np\nX = 1",
        EVERYTHING,
    ),
    "pictures from files, of which the data are not": (
        LIBRARY + "data/pictures.py",
        "16 << 20",
        "17 << 20",
        {},
    ),
    "environment of tables and figures": (
        "envs/analysis.yaml",
        "pandas==",
        "pandas>=",
        {**TABLES, **FIGURES},
    ),
    "environment of training": ("envs/torch.yaml", "torch==", "torch>=", TRAINING),
    "environment of the data": ("envs/data.yaml", "pillow==", "pillow>=", EVERYTHING),
    "the paper's numbers": ("config/paper.yaml", "0.07227", "0.0723", TABLES),
    "an identity connection switched off in the registry": (
        LIBRARY + "registry.py",
        "residual=True,\n        native",
        "residual=False,\n        native",
        ONE_OF_TWO_RUNS,
    ),
    "native code": (LIBRARY + "native/conv.c", "#include", "#define EXTRA 1\n#include", TRAINING),
    "comment": (LIBRARY + "networks/simplified.py", "import torch\n", "import torch  # !\n", {}),
    "docstring": (LIBRARY + "networks/simplified.py", "One convolution, with", "A layer, with", {}),
    "formatting": (LIBRARY + "networks/simplified.py", "import torch\n", "\n\nimport torch\n", {}),
    "progress": (LIBRARY + "training/log_lines.py", "ETA {eta}", "left {eta}", {}),
    "error messages": (LIBRARY + "commandline.py", "error: {error}", "mistake: {error}", {}),
    "comment in an environment": ("envs/torch.yaml", "# Training", "# The training", {}),
    "a further architecture": (
        LIBRARY + "registry.py",
        "ARCHITECTURES = {\n",
        'ARCHITECTURES = {\n    "x": Architecture("resnoise.networks.x", "simplified", False),\n',
        {},
    ),
}


@pytest.mark.parametrize("edit", EDITS)
def test_edit_of_a_file(done: Finished, planner: Planner, edit: str) -> None:
    """Edits as people make them, and what they make stale of a few targets."""
    file, old, new, expected = EDITS[edit]
    text = (done.project.root / file).read_text("utf-8")
    assert old in text
    with edited(done.project, {file: text.replace(old, new)}):
        assert counts(planner.jobs(done.project, targets=CORE)) == expected


def test_files_that_only_people_read_are_no_inputs(done: Finished, planner: Planner) -> None:
    """Comments, formatting, docstrings; text for people in the schema; what makes environments."""
    edits = {
        file: f"# A comment.\n{(done.project.root / file).read_text('utf-8')}\n\n# Another.\n"
        for file in code_files()
        if file.endswith((".py", ".yaml")) and "/envs/" not in file
    }
    folder = done.project.root
    for name in ("Snakefile", *(f"rules/{file.name}" for file in (folder / "rules").glob("*"))):
        edits[name] = f"# A comment.\n{(folder / name).read_text('utf-8')}"
    network = LIBRARY + "networks/simplified.py"
    edits[network] = edits[network].replace("One convolution, with", "A layer, with")
    schema = (folder / "config/schema.yaml").read_text("utf-8")
    edits["config/schema.yaml"] = schema.replace("Size of the networks.", "How large networks are.")
    for name in ("requirements.txt", "Dockerfile", "apptainer.def"):
        edits[f"envs/{name}"] = (folder / "envs" / name).read_text("utf-8") + "# Edited.\n"
    with edited(done.project, edits):
        assert planner.jobs(done.project) == []


def test_the_command_of_a_rule_counts(done: Finished, planner: Planner) -> None:
    rules = (done.project.root / "rules/twins.smk").read_text("utf-8")
    with edited(done.project, {"rules/twins.smk": rules.replace('"Table 2"', '"Table II"')}):
        stale = planner.jobs(done.project)
    assert names(stale) == done.depending(done.matching("table2 "))


@pytest.mark.parametrize(
    "name", ["config/paper.yaml", "config/conjecture.yaml", "config/paper_schema.yaml"]
)
def test_the_papers_numbers_and_claims_count(done: Finished, planner: Planner, name: str) -> None:
    text = (done.project.root / name).read_text("utf-8")
    other = text.replace("0.07227", "0.0723") if "0.07227" in text else f"{text}\ntitle: Claims\n"
    with edited(done.project, {name: other}):
        stale = planner.jobs(done.project)
    readers = {job for job, files in done.used.items() if name in files}
    assert readers and names(stale) == done.depending(readers)


def test_captions_count_where_they_are_shown(done: Finished, planner: Planner) -> None:
    folder = done.project.root
    captions = [f"config/captions/{file.name}" for file in (folder / "config/captions").glob("*")]
    edits = {name: (folder / name).read_text("utf-8") + "\nEdited.\n" for name in captions}
    with edited(done.project, edits):
        (job,) = planner.jobs(done.project)
    assert job.rule == "report_page"
    shown = {*captions} & done.used[job.name]
    assert len(shown) > 15
    assert job.reason.startswith("Updated input files: ")
    assert {*job.reason.partition(": ")[2].split(", ")} == shown


# The configuration: which jobs depend on which keys.


class Case(NamedTuple):
    """Another value of a key and the jobs that depend on it, beside the report, which shows it.

    Attributes:
        value: the value.
        roots: patterns of the names of jobs that depend on it; those after them do too.
        counts: instead of ``roots`` where jobs come or go: number of jobs of each rule.
        also: other keys that must change with this one.
        targets: what is planned.
    """

    value: Any
    roots: tuple[str, ...] = ()
    counts: dict[str, int] | None = None
    also: dict[str, Any] = {}  # noqa: RUF012 (never changed)
    targets: tuple[str, ...] = EVERYTHING_TARGETS


DATA = ("prepare_data ",)
SIMPLIFIED = ("train .*/runs/(plain|residual|dominant)", "twins ")
FULL = ("train .*/runs/full",)
LAYER_CUSHIONS = ("layer_cushion ", "external_layer_cushion ")
INTERLAYER_CUSHIONS = ("interlayer_cushion ", "external_interlayer_cushion ")
NOISE_STABILITY = ("noise_stability ", "external_noise_stability ")
EXTERNAL = ("external_.*",)
EXTERNAL_RULES = (
    "external_network",
    "external_interlayer_cushion",
    "external_layer_cushion",
    "external_noise_stability",
    "external_gradient_flow",
    "external_margin",
    "external_table",
    "external_figure",
    "external_layer_figure",
    "external_networks_figure",
    "external_flows_figure",
    "external_networks_table",
)
# What two further runs make stale, and what they are measured for.
TWO_RUNS = {"train": 2, "report_page": 1}
TABLE1 = {
    **TWO_RUNS,
    "evaluate": 2,
    "table1": 1,
    "training_curves": 1,
    "metric": 4,
    "metric_table": 2,
    "metric_figure": 1,
}
TWINS = {"twins": 1, "evaluate_twin": 2, "table2": 1, "figure6": 1, "claims": 1, "report_page": 1}
FIGURE3 = {
    **TWO_RUNS,
    "layer_cushion": 2,
    "layer_cushion_table": 1,
    "figure3": 1,
    "figure3_snapshots": 1,
    "claims": 1,
}
NOISE = {**TWO_RUNS, "noise_stability": 2, "noise_stability_figure": 1}
INTERLAYER = {**TWO_RUNS, "interlayer_cushion": 2, "interlayer_table": 1, "interlayer_figure": 1}
WEIGHTS = {**TWO_RUNS, "weight_statistics": 2, "table3": 1, "figure7": 1}
TABLE4 = {**TWO_RUNS, "evaluate": 2, "weight_statistics": 2, "table4": 1, "claims": 1}
FIGURE9 = {**TWO_RUNS, "evaluate": 2, "figure9": 1, "figure9_growth": 1}
TABLE5 = {**TWO_RUNS, "evaluate": 2, "table5": 1}
FURTHER = {"metric_table": 2, "metric_figure": 1, "report_page": 1}
# All that follows from the pair of runs that most figures and tables take.
OTHER_PAIR = {
    **TABLE1,
    **FIGURE3,
    **NOISE,
    **INTERLAYER,
    **WEIGHTS,
    **TABLE4,
    **FIGURE9,
    **TABLE5,
    "figure8": 1,
    "run_table": 1,
    "transfer": 1,
}
FLOW = {
    "train": 4,
    "gradient_flow": 4,
    "figure10": 1,
    "figure12": 1,
    "figure12_ratios": 1,
    "claims": 1,
    "report_page": 1,
}
OVER_CAUSES = {
    "conjecture_runs": 1,
    "conjecture_bounds": 1,
    "conjecture_prediction": 1,
    "conjecture_prediction_figure": 1,
    "conjecture_verdict": 1,
    "report_page": 1,
}
CONJECTURE = {**OVER_CAUSES, "conjecture_dose": 1, "conjecture_cushion": 1, "conjecture_flow": 1}
# What further runs are measured for there: with another cause, with another dose.
MEASURED = {"train": 1, "evaluate": 1, "layer_cushion": 1, "interlayer_cushion": 1}
MEASURED |= {"noise_stability": 1, "metric": 2}
CAUSE = {**MEASURED, **OVER_CAUSES}
DOSE = {**MEASURED, "gradient_flow": 1, **CONJECTURE}
# Plain from KWI, residual, a dose and another cause.
FOUR_RUNS = {**CONJECTURE, **{rule: 4 * n for rule, n in MEASURED.items()}, "gradient_flow": 3}
GRADIENT_FLOW = ("gradient_flow ", "external_gradient_flow ")
FLOW_TABLES = ("figure12_ratios ", "figure12_readings ")
FLOW_SHOWN = (
    *("figure12 ", *FLOW_TABLES, "claims ", "conjecture_flow "),
    *("external_flows_figure", "external_networks_table"),
)
RECIPE = {
    "epochs": 3,
    "batch_size": 25,
    "learning_rate": 0.04,
    "milestones": [0.4],
    "decay_factor": 0.2,
    "momentum": 0.8,
    "penalty": 0.001,
    "crop_padding": 2,
    "horizontal_flip": False,
    "precision": "float64",
    "allow_tf32": True,
    "compile": True,
    "conv_backend": "torch",
    "epoch_risk": "training-set",
    "snapshot_epochs": [1],
}
# Verdicts name these parts of the recipe where they differ from the paper's.
ROUNDING = ("allow_tf32", "compile", "conv_backend", "snapshot_epochs")


def recipe_keys() -> dict[str, list[Case]]:
    """Return the cases of the two recipes."""
    found = {}
    for key, value in RECIPE.items():
        claims = () if key in ROUNDING else ("claims ",)
        found[f"training.fully_fledged.{key}"] = [Case(value, (*FULL, *claims))]
        # Twins have a precision of their own.
        roots = SIMPLIFIED[:1] if key == "precision" else SIMPLIFIED
        found[f"training.simplified.{key}"] = [Case(value, roots)]
    # Runs whose gradient flow is measured keep the weights after the first epoch anyway.
    others = ("train .*/runs/(plain-8/(t-hmwi|id|dirac)|dominant)", "twins ")
    found["training.simplified.snapshot_epochs"] = [Case([1], others), Case([2], SIMPLIFIED)]
    for key in ("penalty_divided_by_batch", "penalty_on_biases", "penalty_on_transferred"):
        simplified = key != "penalty_on_biases"
        found[f"training.simplified.{key}"] = [Case(not simplified, SIMPLIFIED)]
        found[f"training.fully_fledged.{key}"] = [Case(simplified, (*FULL, "claims "))]
    return found


KEYS: dict[str, list[Case]] = {
    "downloads": [Case("other")],
    "store": [Case("other"), Case(None)],
    "device": [Case("auto")],
    "cuda_graph": [Case(True)],
    "container": [Case("other.sif")],
    # More about these two below, with sources that have a path.
    "data.source": [Case("pictures", DATA, also={"data.path": "rules"})],
    "data.path": [Case("rules", DATA, also={"data.source": "pictures"})],
    "data.mirrors": [Case(["https://mirror.example.org/cifar-10-python.tar.gz"])],
    "data.retries": [Case(4)],
    "data.train_per_class": [Case(11, DATA)],
    "data.test_per_class": [Case(6, DATA)],
    "data.subset_seed": [Case(1, DATA)],
    "data.scaling": [Case("centred", DATA)],
    "networks.width": [Case(8, (*SIMPLIFIED, *FULL, "network_layers "))],
    "networks.shortcut": [
        Case("stacked", ("train .*/runs/full-residual", "network_layers ", "claims "))
    ],
    **recipe_keys(),
    "table1.depths": [Case([8, 14], counts=TABLE1)],
    "table1.seeds": [Case([1, 2], counts=TABLE1), Case([2], counts=TABLE1)],
    "twins.depths": [Case([8, 14], counts=TWINS)],
    "twins.seeds": [Case([1, 2], counts=TWINS)],
    "layer_cushion.depths": [Case([8, 14], counts=FIGURE3)],
    "layer_cushion.seeds": [Case([1, 2], counts=FIGURE3)],
    "noise_stability.depths": [Case([8, 14], counts=NOISE)],
    "noise_stability.seeds": [Case([1, 2], counts=NOISE)],
    "interlayer_cushion.depths": [Case([8, 14], counts=INTERLAYER)],
    "interlayer_cushion.seeds": [Case([1, 2], counts=INTERLAYER)],
    "weight_statistics.depth": [Case(14, counts=WEIGHTS)],
    "weight_statistics.seeds": [Case([1, 2], counts=WEIGHTS)],
    "table4.depths": [Case([8, 14], counts=TABLE4)],
    "table4.seeds": [Case([1, 2], counts=TABLE4)],
    "figure8.depths": [Case([8, 14], counts={**TWO_RUNS, "figure8": 1})],
    "figure8.seeds": [Case([1, 2], counts={**TWO_RUNS, "figure8": 1})],
    "figure9.depths": [Case([8, 14], counts=FIGURE9)],
    "figure9.seeds": [Case([1, 2], counts=FIGURE9)],
    "table5.depths": [Case([8, 14], counts={**TABLE5, "train": 3, "evaluate": 3})],
    "table5.seeds": [Case([1, 2], counts={**TABLE5, "train": 4, "evaluate": 4})],
    "table5.lower_full.depths": [Case([8, 14], counts=TABLE5)],
    "gradient_flow.seeds": [Case([1, 2], counts=FLOW)],
    # Two runs that are no longer measured keep fewer weights, so they and what follows are others.
    "gradient_flow.depth": [
        Case(
            14,
            counts={
                **{**OTHER_PAIR, **FLOW, **CONJECTURE},
                **{"train": 6, "gradient_flow": 6, "figure12_readings": 1},
            },
        )
    ],
    "layer_cushion.samples": [Case(11, LAYER_CUSHIONS)],
    "layer_cushion.sample_seed": [Case(1, LAYER_CUSHIONS)],
    "layer_cushion.every_snapshot": [Case(True, LAYER_CUSHIONS)],
    "layer_cushion.memory_mb": [Case(7)],
    "layer_cushion.bootstrap_replicates": [Case(10, ("layer_cushion_table ",))],
    "layer_cushion.bootstrap_seed": [Case(1, ("layer_cushion_table ",))],
    "layer_cushion.confidence": [Case(0.9, ("layer_cushion_table ",))],
    "noise_stability.samples": [Case(5, NOISE_STABILITY)],
    "noise_stability.sample_seed": [Case(1, NOISE_STABILITY)],
    "noise_stability.every_snapshot": [Case(True, NOISE_STABILITY)],
    "noise_stability.memory_mb": [Case(7)],
    "noise_stability.sizes": [Case([0.2], NOISE_STABILITY)],
    "noise_stability.repeats": [Case(3, NOISE_STABILITY)],
    "noise_stability.noise_seed": [Case(1, NOISE_STABILITY)],
    "interlayer_cushion.architectures": [
        Case(["residual"], counts={"interlayer_table": 1, "interlayer_figure": 1, "report_page": 1})
    ],
    "interlayer_cushion.samples": [Case(3, INTERLAYER_CUSHIONS)],
    "interlayer_cushion.sample_seed": [Case(1, INTERLAYER_CUSHIONS)],
    "interlayer_cushion.every_snapshot": [Case(True, INTERLAYER_CUSHIONS)],
    "interlayer_cushion.relative_error": [Case(0.02, INTERLAYER_CUSHIONS)],
    "interlayer_cushion.max_probes": [Case(900, INTERLAYER_CUSHIONS)],
    "interlayer_cushion.probe_seed": [Case(1, INTERLAYER_CUSHIONS)],
    "interlayer_cushion.precision": [Case("float64", INTERLAYER_CUSHIONS)],
    "interlayer_cushion.memory_mb": [Case(7)],
    "weight_statistics.threshold": [
        Case(0.3, ("weight_statistics ", "table3 ")),
        # Swapped with the other one, which Snakemake by itself takes for the same.
        Case(
            0.7,
            ("weight_statistics ", "table3 ", "figure7 "),
            also={"weight_statistics.id_threshold": 0.25},
        ),
    ],
    "weight_statistics.id_threshold": [Case(0.8, ("weight_statistics ", "table3 ", "figure7 "))],
    "weight_statistics.bin_width": [Case(0.02, ("weight_statistics ",))],
    "weight_statistics.clip": [Case(9, ("figure7 ",))],
    "bounds.samples": [Case(5, ("metric .*/bounds.csv",))],
    "bounds.sample_seed": [Case(1, ("metric .*/bounds.csv",))],
    "twins.precision": [Case("float32", ("twins ",))],
    "twins.every_step_epochs": [Case(1, ("twins ",))],
    "twins.mask_pictures": [Case(8, ("twins ",))],
    "claims.bootstrap_replicates": [Case(100, ("claims ",))],
    "claims.bootstrap_seed": [Case(1, ("claims ",))],
    "claims.confidence": [Case(0.9, ("claims ",))],
    "external": [Case([], targets=("all",))],
    "external[].name": [
        Case("other", counts={**dict.fromkeys(EXTERNAL_RULES, 1), "report_page": 1})
    ],
    "external[].path": [Case("other.pt", EXTERNAL)],
    "external[].rename": [Case({"a.": "b."}, EXTERNAL)],
    "external[].shortcut": [Case("stacked", EXTERNAL)],
    "external[].module": [Case("net.py", EXTERNAL, also={"external[].factory": "make"})],
    "external[].factory": [Case("make", EXTERNAL, also={"external[].module": "net.py"})],
    "external[].between": [Case(["layer1.0", "layer1.1"], EXTERNAL)],
    "external[].residual": [Case(False, EXTERNAL)],
    "external[].mean": [Case([0, 0, 0], EXTERNAL, also={"external[].std": [1, 1, 1]})],
    "external[].std": [Case([1, 1, 1], EXTERNAL, also={"external[].mean": [0, 0, 0]})],
    "trivial_case.n": [Case(16, ("trivial_case ",))],
    "trivial_case.last_layer": [Case(21, ("trivial_case ",))],
    "trivial_case.layer": [Case(5, ("trivial_case ",))],
    "trivial_case.sigma_w": [Case(0.02, ("trivial_case ",))],
    "trivial_case.sigma_g": [Case(2.0, ("trivial_case ",))],
    "trivial_case.q": [Case(0.4, ("trivial_case ",))],
    "trivial_case.repetitions": [Case(4, ("trivial_case ",))],
    "trivial_case.seed": [Case(1, ("trivial_case ",))],
    "trivial_case.n_values": [Case([4], ("trivial_case ",))],
    "trivial_case.layer_values": [Case([1], ("trivial_case ",))],
    "trivial_case.sigma_w_values": [Case([0.1], ("trivial_case ",))],
    "trivial_case.sigma_g_values": [Case([1.0], ("trivial_case ",))],
    "trivial_case.q_values": [Case([0.5], ("trivial_case ",))],
    "runs": [Case([], targets=("all", "external"))],
    "runs[].architecture": [
        Case("full-plain", counts={"evaluate": 1, "run_table": 1, "metric": 2, **FURTHER})
    ],
    "runs[].initialisation": [Case("t-hmwi", counts={"run_table": 1, "metric": 2, **FURTHER})],
    "runs[].depths": [
        Case([8, 14], counts={"train": 1, "evaluate": 1, "run_table": 1, "metric": 2, **FURTHER})
    ],
    "runs[].seeds": [
        Case([1, 2], counts={"train": 1, "evaluate": 1, "run_table": 1, "metric": 2, **FURTHER})
    ],
    "conjecture.depths": [Case([8, 14], counts=FOUR_RUNS)],
    "conjecture.seeds": [Case([1, 2], counts=FOUR_RUNS)],
    "conjecture.doses": [Case([0.5, 1], counts=DOSE)],
    "conjecture.others": [Case([], counts=OVER_CAUSES)],
    "conjecture.others[].architecture": [Case("residual", counts=CAUSE)],
    "conjecture.others[].initialisation": [Case("orthogonal", counts=CAUSE)],
    "conjecture.equal_risk": [Case(9.0, ("conjecture_prediction ",))],
    "conjecture.bootstrap_replicates": [Case(10, ("conjecture_prediction ",))],
    "conjecture.bootstrap_seed": [Case(1, ("conjecture_prediction ",))],
    "conjecture.confidence": [Case(0.9, ("conjecture_prediction ", "conjecture_verdict "))],
    "gradient_flow.samples": [Case(5, GRADIENT_FLOW)],
    "gradient_flow.sample_seed": [Case(1, GRADIENT_FLOW)],
    "gradient_flow.precision": [Case("float32", GRADIENT_FLOW)],
    "gradient_flow.shallow_share": [Case(0.3, (*FLOW_TABLES, "claims "))],
    "gradient_flow.reading": [Case("set", FLOW_SHOWN)],
    "gradient_flow.layers": [Case("all", FLOW_SHOWN)],
    # A run keeps its weights where its gradient flow is measured, and the only epoch of the
    # fully-fledged networks is the last, which is measured anyway.
    "gradient_flow.epochs": [Case([], ("train .*/(plain-8/kwi|residual-8/hmwi)",))],
}

# Keys that no single plan of the finished project can show.
ELSEWHERE = {
    "results": "test_another_results_folder_is_computed_on_its_own",
    "data.sha256": "test_the_source_of_the_data_counts_by_its_content",
    "conjecture.initialisation": "no other initialisation has doses",
}


def all_keys() -> list[str]:
    """Return the keys of the schema, without those that are sections."""
    return [key for key, allowed, *_ in reference(SCHEMA_PATH) if allowed]


def configured(project: Project, values: Mapping[str, Any]) -> str:
    """Return the project's configuration with other values of some keys."""
    config = yaml.safe_load((project.root / CONFIG).read_text("utf-8"))
    for key, value in values.items():
        section = config
        *parents, last = key.replace("[]", ".0").split(".")
        for parent in parents:
            section = section[0] if parent == "0" else section.setdefault(parent, {})
        section[last] = value
    return yaml.safe_dump(config)


def test_every_key_has_an_expectation() -> None:
    assert {*KEYS} | {*ELSEWHERE} == {*all_keys()}


@pytest.mark.parametrize("key", KEYS)
def test_what_depends_on_a_key(done: Finished, config_planner: Planner, key: str) -> None:
    for case in KEYS[key]:
        text = configured(done.project, {**case.also, key: case.value})
        with edited(done.project, {CONFIG: text}):
            stale = config_planner.jobs(done.project, targets=case.targets)
        if case.counts is None:
            expected = done.depending(done.matching(*case.roots, "report_page "))
            assert names(stale) == expected, case
        else:
            assert counts(stale) == {rule: n for rule, n in case.counts.items() if n}, case


NO_CHANGES = {
    "order of keys": ("{epochs: 2, batch_size: 20, ", "{batch_size: 20, epochs: 2, "),
    "a default written out": ("device: cpu", "device: cpu\ndownloads: resources"),
    "numbers in another notation": ("learning_rate: 0.05", "learning_rate: '5.0e-2'"),
}


@pytest.mark.parametrize("change", NO_CHANGES)
def test_another_way_to_write_the_same(
    done: Finished, config_planner: Planner, change: str
) -> None:
    text = (done.project.root / CONFIG).read_text("utf-8")
    old, new = NO_CHANGES[change]
    assert old in text
    with edited(done.project, {CONFIG: text.replace(old, new)}):
        assert config_planner.jobs(done.project) == []


SECTIONS = ("all", "external", "runs", "metrics", "conjecture")


def test_another_results_folder_is_computed_on_its_own(
    done: Finished, config_planner: Planner
) -> None:
    with edited(done.project, {CONFIG: configured(done.project, {"results": "results/other"})}):
        planned = config_planner.jobs(done.project, targets=SECTIONS)
    here = {name.replace("results/tiny/", "results/other/") for name in done.jobs}
    asked_for = done.matching("transfer ", "figure3_snapshots ")
    assert len(here - names(planned)) == len(asked_for)
    assert names(planned) <= here


# Times, places and circumstances.


def test_the_number_of_cores_does_not_count(done: Finished, config_planner: Planner) -> None:
    assert config_planner.jobs(done.project, "--cores", "7") == []


def test_a_lost_output_is_made_again_and_nothing_else(
    done: Finished, config_planner: Planner
) -> None:
    lost = done.project.results / "training_curves.png"
    kept = lost.rename(lost.with_name("kept"))
    target = "results/tiny/training_curves.png"
    (job,) = config_planner.jobs(done.project, targets=(target,))
    assert job.rule == "training_curves" and job.reason == f"Missing output files: {target}"
    kept.rename(lost)


def test_times_and_places_do_not_count(
    everything: Project, planner: Planner, tmp_path: Path
) -> None:
    """Results and Snakemake's memory beside a new clone: other times, another folder."""
    clone = tmp_path / "a clone"
    # Without times, so all files are new, in the order in which they are copied.
    shutil.copytree(everything.root, clone, copy_function=shutil.copyfile)
    assert planner.jobs(Project(clone)) == []


def test_the_source_of_the_data_counts_by_its_content(
    project: Project, planner: Planner, tmp_path: Path
) -> None:
    """A folder of pictures and a tar file of it: place and times do not count, contents do."""
    pictures = tmp_path / "pictures"
    for part, number in itertools.product(("train", "test"), range(12)):
        picture = pictures / part / str(number % 2) / f"{number}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((8, 8), 10 * number).convert("RGB").save(picture)
    archive = tmp_path / "pictures.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(pictures, "pictures")
    target = "results/pictures/data.safetensors"

    def stale(source: Path, **values: str) -> list[str]:
        data = {"source": "pictures", "path": str(source), **values}
        config = {"results": "results/pictures", "data": data}
        (project.root / CONFIG).write_text(yaml.safe_dump(config), "utf-8")
        return [job.rule for job in planner.jobs(project, targets=(target,))]

    for source, changed in ((pictures, pictures / "train/0/0.png"), (archive, archive)):
        assert stale(source) == ["prepare_data"]
        project.snakemake(target)
        assert stale(source) == []
        for file in (source, changed):
            os.utime(file)
        assert stale(source) == []
        assert stale(source, sha256=check_sha256(source, None)) == []
        moved = source.rename(tmp_path / f"moved-{source.name}")
        assert stale(moved) == []
        file = moved / changed.relative_to(source)
        content, times = file.read_bytes(), file.stat()
        file.write_bytes(content[:-1] + b"x")
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert stale(moved) == ["prepare_data"]
    wrong = ("--config", "results=results/pictures", f"data={{sha256: {'0' * 64}}}")
    printed = project.snakemake("--dry-run", target, *wrong, fails=True)
    assert f"data.path: {moved}: SHA-256 is {check_sha256(moved, None)}, expected 0" in printed


RERUNS = {
    "training": ("initialisations/hardt_ma.py", "1 / (height", "2 / (height", CORE),
    "metric": (
        "metrics/weight_statistics.py",
        "import torch\n",
        "import torch\n\nEDITED = 1\n",
        (),
    ),
}


@pytest.mark.parametrize("edit", RERUNS)
def test_what_is_planned_is_what_is_run(
    everything: Project, planner: Planner, tmp_path: Path, edit: str
) -> None:
    file, old, new, targets = RERUNS[edit]
    project = everything.copy_to(tmp_path / "project")
    project.replace(LIBRARY + file, old, new)
    targets = targets or EVERYTHING_TARGETS
    planned = planner.jobs(project, targets=targets)
    # Snakemake's own log, which has the reasons.
    run = read_plan(project.snakemake("--printshellcmds", *targets))
    assert names(run) == names(planned)
    assert len(run) == len(planned) > 3
    assert planner.jobs(project, targets=targets) == []


def test_the_record_of_a_run_holds_the_digests_of_its_code_and_data(everything: Project) -> None:
    record = json.loads((everything.results / "runs/plain-8/kwi/seed1/run.json").read_text("utf-8"))
    assert len(record["code_digest"]) == len(record["data_digest"]) == 64
    assert record["spec"]["recipe"]["learning_rate"] == 0.05
    assert Path(everything.results / "data.safetensors").stat().st_size > 0
