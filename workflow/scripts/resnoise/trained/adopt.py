"""Put results that came from elsewhere into the store, before a workflow makes them anew."""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from resnoise.errors import ResnoiseError
from resnoise.specs import results
from resnoise.specs.run import RUN_FILES, TRAINED_ON, plain_twin
from resnoise.storage.digests import check_csv, digest_file, read_json, read_stamp
from resnoise.storage.store import Store
from resnoise.trained.record import Record, read_all_weights, read_record

_log = logging.getLogger(__name__)


def adopt(files: Iterable[Path], store: Store) -> int:
    """Keep all finished runs, twins and measurements among some files; return how many.

    What is damaged, or does not say what it is, is left out.

    Args:
        files: files of a results folder.
        store: where to keep them.
    """
    count = 0
    for own, outputs in results_in(files):
        if not store.place(own).exists():
            store.keep(own, outputs)
            count += 1
    return count


def results_in(files: Iterable[Path]) -> Iterator[tuple[dict[str, Any], dict[str, Path]]]:
    """Yield identity and files of all undamaged runs, twins and measurements among some files."""
    for file in sorted(files):
        try:
            found = _result(file)
        except (ResnoiseError, KeyError, TypeError) as error:
            _log.debug("left out: %s", error)
            continue
        if found is not None:
            yield found


def _result(file: Path) -> tuple[dict[str, Any], dict[str, Path]] | None:
    """Return identity and files of the result that a file stands for, None if it is not that file.

    A record stands for its run, the drift for its twins, the first table of a measurement for it.
    """
    if file.name == "run.json" and file.parent.name not in ("residual", "plain"):
        record = _run(file.parent)
        own = results.of_run(record.spec, record.digests["data"], record.identity["code"])
        return own, _run_files(file.parent)
    if file.suffix != ".csv" or file.name == "history.csv":
        return None
    facts = read_stamp(file)
    if facts.get("metric") == results.DRIFT:
        return _twins(file, facts["spec"])
    if "weights" not in facts:
        return None
    tables = [table for table in sorted(file.parent.glob("*.csv")) if _is_of(table, facts)]
    if file != tables[0]:
        return None
    for table in tables:
        check_csv(table)
    both = [path for table in tables for path in (table, digest_file(table))]
    return results.of_measurement(facts), {path.name: path for path in both}


def _is_of(table: Path, facts: dict[str, Any]) -> bool:
    return digest_file(table).exists() and read_stamp(table) == facts


def _twins(drift: Path, spec: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Path]]:
    check_csv(drift)
    residual, plain = (_run(drift.parent / name) for name in ("residual", "plain"))
    code, data = residual.identity["code"], residual.identity["data"]
    own = {"spec": plain_twin(residual.spec).to_json(), "code": code, "data": data}
    if plain.identity != own:
        raise ResnoiseError(f"{drift.parent}: not a pair of twins")
    files = {
        f"{name}/{file}": path
        for name in ("residual", "plain")
        for file, path in _run_files(drift.parent / name).items()
    }
    files |= {drift.name: drift, digest_file(drift).name: digest_file(drift)}
    return results.of_twins(residual.spec, spec, data, code), files


def _run(folder: Path) -> Record:
    """Return the record of a finished run, after a check of all its files."""
    file = folder / "run.json"
    facts = read_json(file)
    if TRAINED_ON in facts:
        raise ResnoiseError(f"{file}: not trained here")
    record = read_record(file, facts["data_digest"])
    check_csv(folder / "history.csv")
    read_all_weights(folder, record)
    return record


def _run_files(folder: Path) -> dict[str, Path]:
    return {name: folder / name for name in RUN_FILES}
