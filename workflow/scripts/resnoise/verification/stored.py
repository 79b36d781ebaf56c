"""What the store holds, and which of it the results folders still ask for."""

import dataclasses
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from resnoise.config import load as configuration
from resnoise.errors import ResnoiseError
from resnoise.live import jobs
from resnoise.plan import records
from resnoise.specs import results as results_of
from resnoise.specs.run import RunSpec
from resnoise.storage import store, tensorfile
from resnoise.storage.digests import read_json
from resnoise.trained import adopt


@dataclasses.dataclass(frozen=True)
class Kept:
    """An entry of the store.

    Attributes:
        folder: its folder.
        name: what it is, for people.
        size: bytes of its files.
        wanted: whether a configuration asks for it.
    """

    folder: Path
    name: str
    size: int
    wanted: bool


def kept(folder: Path, results: Sequence[Path]) -> list[Kept]:
    """Return the entries of a store, those that no configuration asks for first.

    Snakemake deletes the outputs of a job before it runs it again, and may then be stopped. So what
    today's code would make counts as asked for, whether its files are there or not.

    Args:
        folder: the store.
        results: results folders with their saved configurations.

    Raises:
        ResnoiseError: a saved configuration has mistakes, so that nobody knows what it asks for.
    """
    place = store.Store(folder)
    pictures = [_pictures(each) for each in results]
    asked = [
        own
        for each, (_, digest) in zip(results, pictures, strict=True)
        for own in _asked_for(each, digest)
    ]
    entries: dict[Path, dict[str, Any]] = {}
    damaged = {}
    for path in place.entries():
        try:
            entries[path] = store.read(path).identity
        except ResnoiseError as error:
            damaged[path] = f"damaged: {error}"
    wanted = {place.place(own) for own in asked}
    # Of a folder without a sound data set, any data count.
    unknown = [own for own in asked if own["data"] is None]
    wanted |= {path for path, own in entries.items() if {**own, "data": None} in unknown}
    specs = [spec for spec, _ in pictures]
    wanted |= {
        path
        for path, own in entries.items()
        if own.get("result") == results_of.DATA
        and (None in specs or json.loads(own["spec"]) in specs)
    }
    weights = {digest for path in wanted & entries.keys() for digest in _weights(path)}
    there = {(own["weights"], own["metric"]) for own in asked if "metric" in own}
    wanted |= {
        path
        for path, own in entries.items()
        if own.get("weights") in weights and (own["weights"], own["metric"]) not in there
    }
    names = {**damaged, **{path: _name(own) for path, own in entries.items()}}
    found = []
    for path, name in names.items():
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        found.append(Kept(path, name, size, path in wanted))
    return sorted(found, key=lambda entry: (entry.wanted, entry.name))


def _weights(entry: Path) -> Iterator[str]:
    """Yield the digests of the weights of a run's or of twins' entry."""
    for file in entry.rglob("run.json"):
        yield read_json(file)["files"]["weights"]


def results_folders(root: Path) -> list[Path]:
    """Return the results folders below a folder: those with a saved configuration."""
    return sorted(file.parent for file in root.rglob(configuration.SAVED))


def delete(folder: Path, entries: Iterable[Kept]) -> None:
    """Delete entries of a store, and what killed processes have left in it."""
    for path in [*(entry.folder for entry in entries), *store.Store(folder).unfinished()]:
        shutil.rmtree(path)


def _asked_for(results: Path, data: str | None) -> list[dict[str, Any]]:
    """Return the identities of all results that a folder's configuration asks for.

    Args:
        results: the folder.
        data: digest of its data set, None if there is no sound one.
    """
    config = configuration.load(configuration.read([results / configuration.SAVED]))
    asked = jobs.configured(config, results, [*jobs.SETS, jobs.TWINS])
    folders = {job.folder for job in asked}
    # A pair of twins is a job in the folder of its residual network.
    folders |= {folder.parent for folder in folders if folder.name == "residual"}
    files = (
        file for file in records.outputs(results) if any(map(folders.__contains__, file.parents))
    )
    found = [own for own, _ in adopt.results_in(files)]
    return [*found, *_trainings(config, data, asked)]


def _trainings(
    config: Mapping[str, Any], data: str | None, asked: Iterable[jobs.Job]
) -> Iterator[dict[str, Any]]:
    """Yield the identities of what today's code would train for a folder; data as it is given."""
    drift = {key: config[jobs.TWINS][key] for key in ("every_step_epochs", "mask_pictures")}
    for job in asked:
        assert job.plan is not None
        spec, code = job.plan.spec, job.plan.code
        if job.plan.drift is None:
            own = results_of.of_run(spec, "", code)
        else:
            own = results_of.of_twins(spec, drift, "", code)
        yield {**own, "data": data}


def _pictures(results: Path) -> tuple[dict[str, Any] | None, str | None]:
    """Return specification and digest of a folder's data set, None if there is no sound one."""
    try:
        _, metadata, digest = tensorfile.load(results / "data.safetensors")
    except ResnoiseError:
        return None, None
    return metadata.get("spec"), digest


def _name(identity: dict[str, Any]) -> str:
    """Return in words what an entry is."""
    words = [str(identity.get("result")), str(identity.get("metric", ""))]
    try:
        spec = RunSpec.from_json(identity["spec"])
    except (ResnoiseError, KeyError, TypeError):
        return " ".join(words).strip()
    words[1] = f"{spec.network.architecture}-{spec.network.depth} {spec.initialisation}"
    return " ".join([*words, f"seed {spec.seed}, {spec.recipe.epochs} epochs"])
