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
    wanted = {place.place(own) for each in results for own in _asked_for(each)}
    pictures = [spec for each in results if (spec := _pictures(each)) is not None]
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


def _asked_for(results: Path) -> list[dict[str, Any]]:
    """Return the identities of all results in a folder that its configuration asks for."""
    config = configuration.load(configuration.read([results / configuration.SAVED]))
    asked = jobs.configured(config, results, [*jobs.SETS, jobs.TWINS])
    folders = {job.folder for job in asked}
    # A pair of twins is a job in the folder of its residual network.
    folders |= {folder.parent for folder in folders if folder.name == "residual"}
    files = (
        file for file in records.outputs(results) if any(map(folders.__contains__, file.parents))
    )
    return [*(own for own, _ in adopt.results_in(files)), *_missing(config, results, asked)]


def _missing(
    config: Mapping[str, Any], results: Path, asked: Iterable[jobs.Job]
) -> Iterator[dict[str, Any]]:
    """Yield what today's code would train for a folder, whether its files are there or not.

    Snakemake deletes the outputs of a job before it runs it again, and may then be stopped.
    """
    try:
        data = tensorfile.load(results / "data.safetensors")[2]
    except ResnoiseError:
        return
    drift = {key: config[jobs.TWINS][key] for key in ("every_step_epochs", "mask_pictures")}
    for job in asked:
        assert job.plan is not None
        spec, code = job.plan.spec, job.plan.code
        if job.plan.drift is None:
            yield results_of.of_run(spec, data, code)
        else:
            yield results_of.of_twins(spec, drift, data, code)


def _pictures(results: Path) -> dict[str, Any] | None:
    """Return the specification of the data set in a folder, None if there is no sound one."""
    try:
        spec: dict[str, Any] | None = tensorfile.load(results / "data.safetensors")[1].get("spec")
    except ResnoiseError:
        return None
    return spec


def _name(identity: dict[str, Any]) -> str:
    """Return in words what an entry is."""
    words = [str(identity.get("result")), str(identity.get("metric", ""))]
    try:
        spec = RunSpec.from_json(identity["spec"])
    except (ResnoiseError, KeyError, TypeError):
        return " ".join(words).strip()
    words[1] = f"{spec.network.architecture}-{spec.network.depth} {spec.initialisation}"
    return " ".join([*words, f"seed {spec.seed}, {spec.recipe.epochs} epochs"])
