"""Take finished runs from another results folder instead of training them."""

import dataclasses
import logging
from pathlib import Path

from resnoise.errors import ResnoiseError
from resnoise.specs.run import TRAINED_ON, RunSpec
from resnoise.storage import tensorfile
from resnoise.storage.digests import check_csv, csv_path, read_json, stamp, write_json
from resnoise.storage.identity import check_beside
from resnoise.trained.record import differences, read_all_weights, read_record

_log = logging.getLogger(__name__)


def take(source: Path, folder: Path, spec: RunSpec, data: str) -> None:
    """Copy a finished run, and make its copy one that can be measured on other pictures.

    Weights, snapshots and history stay as they are, and so does the digest of the code that trained
    them. The record of the copy keeps the digest of the pictures that they were trained on.

    Args:
        source: folder of the run: ``runs/NETWORK-DEPTH/INITIALISATION/seedSEED`` of another results
            folder of this project.
        folder: where to put its files.
        spec: the run that should be there.
        data: digest of the pictures that the copy will be measured on.

    Raises:
        ResnoiseError: a file is missing or damaged, or it is another run.
    """
    file = source / "run.json"
    facts = read_json(file)
    record = read_record(file, str(facts.get("data_digest")))
    if record.spec != spec:
        raise ResnoiseError(
            f"{file}: another run than the one asked for, with {differences(record.spec, spec)}; "
            "ask for the same, or leave finished_runs out"
        )
    weights = read_all_weights(source, record)
    history = source / "history.csv"
    check_csv(history)
    check_beside(history)
    identity = {**record.identity, "data": data}
    files = {
        kind: tensorfile.save(folder / f"{kind}.safetensors", arrays, identity)
        for kind, arrays in weights.items()
    }
    copy = folder / history.name
    with csv_path(copy) as temporary:
        temporary.write_bytes(history.read_bytes())
    stamp(copy, {"run": dataclasses.asdict(spec), "data": data})
    # Of a run that was taken there, too, this is what it was trained on.
    before = facts.get(TRAINED_ON, facts["data_digest"])
    changes = {"files": {**facts["files"], **files}, "data_digest": data, TRAINED_ON: before}
    write_json(folder / "run.json", {**facts, **changes})
    pictures = "the same pictures" if before == data else "OTHER PICTURES"
    _log.info("taken from %s, trained on %s", source, pictures)
