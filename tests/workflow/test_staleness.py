"""After a change, exactly the outputs that depend on it are stale: no more, and no fewer.

What depends on a file is not asked of the program: each process of the finished project recorded
the files that it used (see recorder). What depends on a job's outputs says Snakemake's plan to make
everything. What depends on a key of the configuration: test_staleness_keys.py.
"""

import itertools
import json
import os
import re
import shutil
import tarfile
from pathlib import Path

import pytest
import rule_files
import yaml
from PIL import Image
from plans import Planner, read_plan
from projects import CORE, EVERYTHING_TARGETS, ROOT, Project
from staleness import CONFIG, LIBRARY, Finished, counts, edited, names

from resnoise.storage.checksum import check_sha256

pytestmark = pytest.mark.thorough

SCRIPTS = "workflow/scripts/"
TABLES = {"table1": 1}
FIGURES = {"training_curves": 1}
EVALUATIONS = {"evaluate": 2}
TRAINING = {"train": 2, **EVALUATIONS, **TABLES, **FIGURES}
EVERYTHING = {"prepare_data": 1, **TRAINING}
ONE_OF_TWO_RUNS = {"train": 1, "evaluate": 1, **TABLES, **FIGURES}


def test_a_finished_project_has_nothing_to_do(done: Finished, planner: Planner) -> None:
    assert planner.jobs(done.project) == []
    rules = {job.rule for job in done.jobs.values()}
    assert {*rule_files.making()} - rules == {"download_cifar10", "take"}


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
        "ARCHITECTURES = {\n"
        '    "x": Architecture("resnoise.networks.simplified", "simplified", False),\n',
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
    for file in (folder / "Snakefile", *(folder / "rules").rglob("*.smk")):
        name = file.relative_to(folder).as_posix()
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
