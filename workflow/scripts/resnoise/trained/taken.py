"""Take finished runs from another results folder instead of training them."""

import dataclasses
import logging
from pathlib import Path
from typing import Any

from resnoise.data.dataset import Dataset
from resnoise.errors import ResnoiseError
from resnoise.specs.run import TRAINED_ON, RunSpec
from resnoise.storage import tensorfile
from resnoise.storage.digests import check_csv, csv_path, read_json, stamp, write_json
from resnoise.storage.identity import check_beside
from resnoise.trained import beginning
from resnoise.trained.record import Record, differences, read_all_weights, read_record
from resnoise.training.checkpoint import Weights, flatten, unflatten

_log = logging.getLogger(__name__)


def take(source: Path, folder: Path, spec: RunSpec, dataset: Dataset) -> None:
    """Copy a finished run, and make its copy one that can be measured on other pictures.

    Weights and history stay as they are, and so does the digest of the code that trained them. The
    record of the copy keeps the digest of the pictures that they were trained on. Of the moments of
    training whose weights were kept, the copy has those that ``spec`` asks for. The weights before
    training are made again if they were not kept.

    Args:
        source: folder of the run: ``runs/NETWORK-DEPTH/INITIALISATION/seedSEED`` of another results
            folder of this project.
        folder: where to put its files.
        spec: the run that should be there.
        dataset: the pictures that the copy will be measured on.

    Raises:
        ResnoiseError: a file is missing or damaged, it is another run, or it did not keep the
            weights of an epoch that ``spec`` asks for.
    """
    file = source / "run.json"
    facts = read_json(file)
    record = read_record(file, str(facts.get("data_digest")))
    if _trained(record.spec) != _trained(spec):
        raise ResnoiseError(
            f"{file}: another run than the one asked for, with "
            f"{differences(_trained(record.spec), _trained(spec))}; "
            "ask for the same, or leave finished_runs out"
        )
    weights = read_all_weights(source, record)
    weights["snapshots"] = _moments(source, record, weights["snapshots"], facts, spec, dataset)
    history = source / "history.csv"
    check_csv(history)
    check_beside(history)
    identity = {**record.identity, "spec": spec.to_json(), "data": dataset.digest}
    files = {
        kind: tensorfile.save(folder / f"{kind}.safetensors", arrays, identity)
        for kind, arrays in weights.items()
    }
    copy = folder / history.name
    with csv_path(copy) as temporary:
        temporary.write_bytes(history.read_bytes())
    fields = dataclasses.asdict(spec)
    stamp(copy, {"run": fields, "data": dataset.digest})
    # Of a run that was taken there, too, this is what it was trained on.
    before = facts.get(TRAINED_ON, facts["data_digest"])
    changes = {"spec": fields, "files": {**facts["files"], **files}, "data_digest": dataset.digest}
    write_json(folder / "run.json", {**facts, **changes, TRAINED_ON: before})
    pictures = "the same pictures" if before == dataset.digest else "OTHER PICTURES"
    _log.info("taken from %s, trained on %s", source, pictures)


def _trained(spec: RunSpec) -> RunSpec:
    """Return a run without what makes no other one of it.

    That is which weights were kept on the way, and whose code computed the network, as on which
    device: sums are rounded differently.
    """
    recipe = dataclasses.replace(
        spec.recipe, snapshot_epochs=(), conv_backend="auto", compile=False
    )
    return dataclasses.replace(spec, recipe=recipe)


def _moments(
    source: Path,
    record: Record,
    kept: Weights,
    facts: dict[str, Any],
    spec: RunSpec,
    dataset: Dataset,
) -> Weights:
    """Return the weights during training that ``spec`` asks for, from those that were kept.

    Raises:
        ResnoiseError: those of an epoch were not kept, or those before training are others now.
    """
    groups = unflatten(kept)
    if beginning.INITIAL not in groups:
        if beginning.NORMS not in facts:
            raise ResnoiseError(f"{source}: the run kept no weights of before training")
        groups[beginning.INITIAL] = beginning.initial_weights(spec, dataset)
        beginning.check(groups[beginning.INITIAL], facts[beginning.NORMS], source)
        _log.info("the weights before training were not kept and are made again")
    asked = {f"epoch{epoch}" for epoch in spec.recipe.snapshot_epochs}
    # A run that diverged ended before some of its epochs.
    if record.status != "diverged" and (missing := sorted(asked - groups.keys())):
        raise ResnoiseError(
            f"{source}: the run kept no weights {', '.join(missing)}; leave these epochs out of "
            "the keys snapshot_epochs and gradient_flow.epochs, or leave finished_runs out"
        )
    chosen = {
        label: arrays
        for label, arrays in groups.items()
        if not label.startswith("epoch") or label in asked
    }
    return flatten(chosen)
