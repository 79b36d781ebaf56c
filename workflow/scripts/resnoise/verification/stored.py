"""What the store holds, and which of it the results folders still ask for."""

import dataclasses
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from resnoise.config import load as configuration
from resnoise.errors import ResnoiseError
from resnoise.live import jobs
from resnoise.plan import records
from resnoise.specs import results as results_of
from resnoise.specs.run import RunSpec
from resnoise.storage import store, tensorfile
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


def kept(folder: Path, results: Iterable[Path]) -> list[Kept]:
    """Return the entries of a store, those that no configuration asks for first.

    Args:
        folder: the store.
        results: results folders with their saved configurations.

    Raises:
        ResnoiseError: a saved configuration has mistakes, so that nobody knows what it asks for.
    """
    place = store.Store(folder)
    wanted, pictures = set(), []
    for each in results:
        spec, digest = _pictures(each)
        wanted |= {place.place(own) for own in _asked_for(each, digest)}
        pictures.append(spec)
    found = []
    for path in place.entries():
        needed = path in wanted
        try:
            identity = store.read(path).identity
            name = _name(identity)
            if identity.get("result") == results_of.DATA:
                needed = json.loads(identity["spec"]) in pictures
        except ResnoiseError as error:
            name = f"damaged: {error}"
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        found.append(Kept(path, name, size, needed))
    return sorted(found, key=lambda entry: (entry.wanted, entry.name))


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
    return found if data is None else [*found, *_trainings(config, data, asked)]


def _trainings(
    config: Mapping[str, Any], data: str, asked: Iterable[jobs.Job]
) -> Iterator[dict[str, Any]]:
    """Yield what today's code would train for a folder, whether its files are there or not.

    Snakemake deletes the outputs of a job before it runs it again, and may then be stopped.
    """
    drift = {key: config[jobs.TWINS][key] for key in ("every_step_epochs", "mask_pictures")}
    for job in asked:
        assert job.plan is not None
        spec, code = job.plan.spec, job.plan.code
        if job.plan.drift is None:
            yield results_of.of_run(spec, data, code)
        else:
            yield results_of.of_twins(spec, drift, data, code)


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
