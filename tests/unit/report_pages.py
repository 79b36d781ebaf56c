"""A report of made-up results, for the tests of the page and of the page in a browser."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from resnoise.claims.page import COLUMNS
from resnoise.data import dataset
from resnoise.data.samples import Samples
from resnoise.report import facts, page
from resnoise.storage import csvfile
from resnoise.storage.digests import write_json
from resnoise.storage.pages import write_page

# Four white pixels.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAFklEQVR4nGP8//8/AwMDEwMDAwMDAwAkBgMB/DXemwAA"
    "AABJRU5ErkJggg=="
)
CONFIG = {
    "results": "results",
    "data": {"source": "digits"},
    "training": {"simplified": {"epochs": 3, "learning_rate": 0.002}},
    "layer_cushion": {"depths": [20]},
}
DIFFERENCES = {
    "data": ["scikit-learn's digits instead of CIFAR-10"],
    "training.simplified": ["3 epochs instead of 200"],
}
REDUCED = "scikit-learn's digits instead of CIFAR-10; 3 epochs instead of 200"
# Those of COLUMNS.
CLAIMS: list[tuple[Any, ...]] = [
    (
        *("risk-plain", "Table 1", "Training risk of plain networks.", "number"),
        *(0.07227, 0.07, 0.05, 0.09, "", 3, "not comparable at this scale", "reduced"),
        *("not as in the paper: the pictures, the training", REDUCED),
    ),
    (
        *("equal", "Section 3", "Equal networks are <b>bold</b>.", "statement"),
        *(None, 2.2e-16, None, None, "", 1, "reproduced", "any", "less than 1e-12", ""),
    ),
    (
        *("growth", "Appendix A", "The risk grows.", "statement", 6.85, 10.5, None, None),
        *("times", 1, "direction only", "reduced", "greater than 1.1", REDUCED),
    ),
    (
        *("cushion", "Figure 3", "Cushions are larger.", "statement", None, 0.4, 0.3, 0.5),
        *("", 3, "not reproduced", "reduced", "not greater than 0.85", REDUCED),
    ),
    (
        *("half", "Appendix E", "Probability of the larger.", "number", 0.5, 0.5, None, None),
        *("", None, "reproduced", "any", "0 away from the published number", ""),
    ),
    (
        *("deep", "Table 1", "Deep networks.", "number", 0.495, None, None, None),
        *("", None, "not measured at this scale", "reduced", "there are none", REDUCED),
    ),
]


def write(folder: Path, differences: Mapping[str, list[str]] = DIFFERENCES) -> Path:
    """Write made-up results and their report into a folder; return the report's path."""
    table = pd.DataFrame(CLAIMS, columns=list(COLUMNS)).astype({"runs": "Int64"})
    csvfile.write(folder / "claims.csv", table)
    (folder / "figure3.png").write_bytes(PNG)
    write_page(
        folder / "table1.md",
        "# Table 1\n\n| depth | risk |\n|---|---|\n| 20 | 0.1 +- 0.01 |\n| 8 | 0.02 +- 0.01 |\n"
        "| 44 | 0.5 +- 0.1 |\n\nMeasured.\n",
    )
    for name in ("figure3", "table1"):
        csvfile.write(folder / f"{name}.csv", pd.DataFrame({"a": [1], "b": [2]}))
    captions = {
        "figure3": "A *figure* of depth {{ snakemake.config['layer_cushion']['depths'][0] }}.",
        "table1": "A table.",
    }
    for name, caption in captions.items():
        (folder / f"{name}.rst").write_text(caption, "utf-8")
    for seed, status in ((1, "done"), (2, "diverged")):
        run = folder / "runs" / "plain-20" / "kwi" / f"seed{seed}"
        run.mkdir(parents=True, exist_ok=True)
        write_json(run / "run.json", record(seed, status))
    pictures = np.arange(4 * 32 * 32 * 3, dtype=np.uint8).reshape(4, 32, 32, 3)
    labels = np.arange(4) % 2
    samples = Samples(pictures, labels, pictures[:2], labels[:2], ("cat", "dog"))
    dataset.save(folder / "data.safetensors", samples, "5" * 64)
    output = folder / "report.html"
    output.write_text(build(folder, differences), "utf-8")
    return output


def record(seed: int, status: str) -> dict[str, Any]:
    """Return the record of a run."""
    session = {
        "device": "cpu",
        "first_epoch": 1,
        "host": "node1",
        "packages": {"numpy": "2.4.6", "torch": "2.14.1"},
        "processor": "AMD EPYC",
        "python": "3.12.1",
        "seconds": 678.6,
        "started": "2026-01-02T03:04:05+00:00",
        "system": "Linux",
        "threads": 1,
    }
    return {
        "code_digest": "c" * 64,
        "data_digest": "d" * 64,
        "diverged_at": None,
        "epochs_done": 3 if status == "done" else 2,
        "seconds": 678.6,
        "sessions": [session],
        "spec": {
            "initialisation": "kwi",
            "network": {"architecture": "plain", "depth": 20, "width": 16},
            "recipe": {"epochs": 3},
            "seed": seed,
        },
        "status": status,
    }


def build(
    folder: Path,
    differences: Mapping[str, list[str]] = DIFFERENCES,
    others: Sequence[page.Item] = (),
) -> str:
    """Return the report of the results in a folder, with ``others`` behind the paper's."""
    items = [
        page.Item(name, title, place, folder / file, folder / f"{name}.csv", folder / f"{name}.rst")
        for name, title, place, file in (
            ("figure3", "Figure 3: layer cushions", "Section 5", "figure3.png"),
            ("table1", "Table 1: networks", "Appendix A", "table1.md"),
        )
    ]
    made = facts.Facts(CONFIG, differences, "snakemake --cores all results/report.html", "9.27")
    records = sorted(folder.rglob("run.json"))
    data = folder / "data.safetensors"
    return page.build(folder / "claims.csv", [*items, *others], records, data, made, folder)
