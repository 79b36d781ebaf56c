"""After a change, exactly the outputs that depend on it are stale: no more, and no fewer."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from projects import Project

LIBRARY = "workflow/scripts/resnoise/"
TABLES = {"table1": 1}
FIGURES = {"training_curves": 1}
EVALUATIONS = {"evaluate": 2}
TRAINING = {"train": 2, **EVALUATIONS, **TABLES, **FIGURES}
EVERYTHING = {"prepare_data": 1, **TRAINING}
ONE_OF_TWO_RUNS = {"train": 1, "evaluate": 1, **TABLES, **FIGURES}


def test_a_finished_project_has_nothing_to_do(finished: Project) -> None:
    assert finished.stale() == {}


CODE_EDITS = {
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
        "self.coefficient / 2 * total",
        "self.coefficient / 3 * total",
        TRAINING,
    ),
    "file format": (LIBRARY + "tensorfile.py", '"sha256": digest', '"digest": digest', EVERYTHING),
    "entry script of training": ("workflow/scripts/train.py", "default=1", "default=2", TRAINING),
    "evaluation of a run": (
        LIBRARY + "run_evaluation.py",
        "risk + weight_term",
        "risk - weight_term",
        {**EVALUATIONS, **TABLES},
    ),
    "table": (LIBRARY + "tables.py", "Runs that diverged", "The runs that diverged", TABLES),
    "figure": (LIBRARY + "figures/training_curves.py", "alpha=0.15", "alpha=0.2", FIGURES),
    "figure style": (LIBRARY + "figures/style.py", '"font.size": 9', '"font.size": 8', FIGURES),
    "reading histories": (LIBRARY + "runs.py", '"seed": spec', '"seed": 0 * spec', FIGURES),
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


@pytest.mark.parametrize("edit", CODE_EDITS)
def test_edit_of_a_file(project: Project, edit: str) -> None:
    file, old, new, expected = CODE_EDITS[edit]
    project.replace(file, old, new)
    assert project.stale() == expected


CONFIG_EDITS = {
    "learning rate": ("learning_rate: 0.05", "learning_rate: 0.04", TRAINING),
    "epochs": ("epochs: 2", "epochs: 3", TRAINING),
    "width": ("width: 4", "width: 8", TRAINING),
    "pictures": ("test_per_class: 5", "test_per_class: 6", EVERYTHING),
    "a further seed": ("seeds: [1]", "seeds: [1, 2]", TRAINING),
    "a further depth": ("depths: [8]", "depths: [8, 14]", TRAINING),
    "another seed": ("seeds: [1]", "seeds: [2]", TRAINING),
    "order of keys": (
        "{epochs: 2, batch_size: 20, ",
        "{batch_size: 20, epochs: 2, ",
        {},
    ),
    "a default written out": ("device: cpu", "device: cpu\ndownloads: resources", {}),
    "device": ("device: cpu", "device: auto", {}),
    "recipe of networks that are not in the grid": (
        "training:",
        "training:\n  fully_fledged: {epochs: 3}",
        {},
    ),
}


@pytest.mark.parametrize("edit", CONFIG_EDITS)
def test_edit_of_the_configuration(project: Project, edit: str) -> None:
    old, new, expected = CONFIG_EDITS[edit]
    project.replace("config/tiny.yaml", old, new)
    assert project.stale() == expected


def _touch_everything(project: Project) -> Project:
    for path in project.root.rglob("*"):
        if path.is_file() and ".snakemake" not in path.parts:
            os.utime(path)
    return project


def _move(project: Project) -> Project:
    moved = project.root.with_name("moved elsewhere")
    project.root.rename(moved)
    return Project(moved)


@pytest.mark.parametrize("change", [_touch_everything, _move])
def test_times_and_places_do_not_count(
    project: Project, change: Callable[[Project], Project]
) -> None:
    assert change(project).stale() == {}


def test_the_number_of_cores_does_not_count(project: Project) -> None:
    assert project.stale("--cores", "7") == {}


def test_a_lost_output_is_made_again_and_nothing_else(project: Project) -> None:
    (project.results / "training_curves.png").unlink()
    assert project.stale("results/tiny/training_curves.png") == FIGURES


def test_the_record_of_a_run_holds_the_digests_of_its_code_and_data(finished: Project) -> None:
    record = json.loads((finished.results / "runs/plain-8/kwi/seed1/run.json").read_text("utf-8"))
    assert len(record["code_digest"]) == len(record["data_digest"]) == 64
    assert record["spec"]["recipe"]["learning_rate"] == 0.05
    assert Path(finished.results / "data.safetensors").stat().st_size > 0
