"""Publish a results folder: its numbers, the records of its runs, and weights of some of them.

What is published is a results folder, too, in which less is kept: the key ``finished_runs`` takes
its runs, and ``comparison`` puts other results beside its tables. Weights before training are left
out, because they follow from the specification of a run, and so are those after the first
iteration, unless the dominant gradient flow was measured.
"""

import dataclasses
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from resnoise.comparison.roots import open_root
from resnoise.config.load import SAVED
from resnoise.data import dataset
from resnoise.data.dataset import Dataset
from resnoise.errors import ResnoiseError
from resnoise.specs.run import TRAINED_ON
from resnoise.storage import tensorfile
from resnoise.storage.checksum import file_digest
from resnoise.storage.digests import check_csv, digest_file, read_json, write_json
from resnoise.storage.files import atomic_path
from resnoise.storage.identity import check_beside
from resnoise.storage.pages import write_page
from resnoise.summaries.evaluations import read_evaluations
from resnoise.tables.text import markdown_table, number, rounded
from resnoise.trained import beginning
from resnoise.trained.record import read_all_weights, read_record
from resnoise.trained.run import training_order
from resnoise.training.checkpoint import flatten, unflatten

# In the folder of a run, beside its record: what is published of it, without the weights.
_OF_RUN = ("history.csv", "evaluation.csv")
_FLOW = "gradient_flow.csv"
_FIRST = "iteration1"
# Folders of tables below the results folder, beside itself.
_FOLDERS = (".", "conjecture", "metrics")


@dataclasses.dataclass(frozen=True)
class Published:
    """A published run.

    Attributes:
        name: such as "plain-20/kwi/seed1".
        record: its record.
        final: its last evaluation: risk, test error and more; empty if it was not evaluated.
        weights: labels of its weights that were published, "final" the last.
        sha256: of its ``weights.safetensors``, as ``sha256sum`` prints it; "" if not published.
    """

    name: str
    record: dict[str, Any]
    final: dict[str, float]
    weights: tuple[str, ...]
    sha256: str


def publish(
    results: Path,
    folder: Path,
    weights: Sequence[str] | None,
    *,
    epochs: bool = True,
    note: str = "",
) -> list[Published]:
    """Write what is to be published of a results folder to a new folder.

    These are the configuration, all tables and numbers of figures (CSV, Markdown), the claims, and
    of every finished run its record, history and evaluation; weights of the runs that are named;
    and a README.md that says what is there.

    Args:
        results: the results folder.
        folder: where to write.
        weights: names of runs, such as "plain-20/kwi/seed1"; None for all.
        epochs: publish weights after epochs during training, too, where they were kept.
        note: text for the page, on what the files do not tell; Markdown.

    Returns:
        The published runs.

    Raises:
        ResnoiseError: there is something in ``folder``, ``results`` is not a results folder, there
            is no run of a name, a file is damaged, or this version of the project would not make
            the weights before training again that are left out.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ResnoiseError(f"{folder}: there is something, needed: a new or an empty folder")
    names = [place.removeprefix("runs/") for place in open_root(results).runs()]
    if unknown := sorted({*(weights or ())} - {*names}):
        raise ResnoiseError(
            f"{results}: no finished run {', '.join(unknown)}, there are: {', '.join(names)}"
        )
    chosen = names if weights is None else weights
    pictures = dataset.load(results / "data.safetensors") if chosen else None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # In a folder of its own at first, so that a mistake leaves nothing behind.
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
            new = Path(temporary) / folder.name
            for file in _tables(results):
                _copy(file, new / file.relative_to(results))
            runs = [
                _publish_run(results, new, name, pictures if name in chosen else None, epochs)
                for name in names
            ]
            write_page(new / "README.md", _readme(runs, note))
            new.replace(folder)
    except OSError as error:
        raise ResnoiseError(f"{folder}: cannot be written ({error.strerror})") from error
    return runs


def _tables(results: Path) -> Iterator[Path]:
    """Yield the configuration and all tables of a results folder, after a check of their digests.

    Raises:
        ResnoiseError: a table is damaged.
    """
    if (results / SAVED).exists():
        yield results / SAVED
    for place in _FOLDERS:
        for table in sorted((results / place).glob("*.csv")):
            if digest_file(table).exists():
                check_csv(table)
                yield digest_file(table)
            yield table
        yield from sorted((results / place).glob("*.md"))


def _publish_run(
    results: Path, folder: Path, name: str, pictures: Dataset | None, epochs: bool
) -> Published:
    """Copy what is to be published of a run; its weights, if the data set is given."""
    source, target = results / "runs" / name, folder / "runs" / name
    facts = read_json(source / "run.json")
    for table in (source / file for file in _OF_RUN):
        if table.exists():
            check_csv(table)
            check_beside(table)
            for file in (table, digest_file(table)):
                _copy(file, target / file.name)
    kept: tuple[str, ...] = ()
    sha256 = ""
    if pictures:
        kept, changes = _publish_weights(source, target, pictures, epochs)
        sha256 = file_digest(target / "weights.safetensors")
        facts = {**facts, **changes, "files": {**facts["files"], **changes["files"]}}
    write_json(target / "run.json", facts)
    return Published(name, facts, _final(source), kept, sha256)


def _publish_weights(
    source: Path, target: Path, pictures: Dataset, epochs: bool
) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Write the weights of a run that do not follow from its specification.

    Returns:
        Their labels, and what changes in the record of the run.
    """
    record = read_record(source / "run.json", pictures.digest)
    arrays = read_all_weights(source, record)
    groups = unflatten(arrays["snapshots"])
    initial = groups[beginning.INITIAL]
    norms = beginning.norms(initial)
    beginning.check(beginning.initial_weights(record.spec, pictures), norms, source)
    left_out = {beginning.INITIAL}
    left_out |= set() if (source / _FLOW).exists() else {_FIRST}
    left_out |= set() if epochs else groups.keys() - {_FIRST}
    during = sorted(groups.keys() - left_out, key=training_order)
    snapshots = flatten({label: groups[label] for label in during})
    digests = {
        kind: tensorfile.save(target / f"{kind}.safetensors", chosen, record.identity)
        for kind, chosen in (("weights", arrays["weights"]), ("snapshots", snapshots))
    }
    return (*during, "final"), {"files": digests, beginning.NORMS: norms}


def _final(source: Path) -> dict[str, float]:
    """Return the last row of a run's evaluation, empty if there is none."""
    file = source / "evaluation.csv"
    if not file.exists():
        return {}
    row = read_evaluations([file]).iloc[-1]
    return {key: float(row[key]) for key in ("risk", "test_error")}


def _copy(source: Path, target: Path) -> None:
    """Copy a file; the copy is there whole or not at all."""
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)


def _readme(runs: Sequence[Published], note: str) -> str:
    """Return the text that says what is in the published folder."""
    header = ["run", "epochs", "risk", "test error", "hours", "trained on", "PyTorch", "weights"]
    rows = [
        [
            run.name,
            f"{run.record['epochs_done']}{'' if run.record['status'] == 'done' else ' (diverged)'}",
            rounded(run.final.get("risk")),
            rounded(run.final.get("test_error")),
            number(run.record["seconds"] / 3600, 2),
            session["processor"] if session["device"] == "cpu" else session["device"],
            session["packages"]["torch"],
            ", ".join(run.weights),
        ]
        for run in runs
        for session in [run.record["sessions"][-1]]
    ]
    pictures = sorted({run.record.get(TRAINED_ON, run.record["data_digest"]) for run in runs})
    opening = f"{note}\n\n" if note else ""
    digests = "".join(f"\n- {run.name}: {run.sha256}" for run in runs if run.sha256)
    weights = f"\n\nSHA-256 of each `weights.safetensors`:\n{digests}" if digests else ""
    return f"""# Published results

{opening}Made by `workflow/scripts/publish.py` from a results folder: configuration, tables,
numbers of figures (CSV, Markdown), claims, and of each run its record (`run.json`), history and
evaluation. `docs/columns.md` of the project says what each column means.

{markdown_table(header, rows) if rows else "No runs."}

Risk and test error are those after training. SHA-256 of the pictures that the runs were trained on:
{", ".join(pictures) or "none"}.{weights}

Runs with weights can be measured without training: set the key `finished_runs` to the path of this
folder. Weights before training are made again then. To see your own results beside these:
`python workflow/scripts/compare.py THIS-FOLDER YOUR-RESULTS`.
"""
