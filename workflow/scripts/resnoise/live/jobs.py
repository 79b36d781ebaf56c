"""The training jobs of a configuration, or those that have left files in a results folder."""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from resnoise import registry
from resnoise.plan import finished, grid
from resnoise.plan.specs import run_plugins, run_spec, twin_spec
from resnoise.provenance import code_digest
from resnoise.specs.run import RunSpec

TWINS = "twins"
# Section of the configuration -> function that returns its runs.
SETS = {**grid.SECTIONS, "runs": grid.further_runs, "conjecture": grid.conjecture_runs}
# Shown only if asked for, because the target ``all`` does not train them.
APART = {"conjecture"}
# Folders of runs and of pairs of twins -> patterns of their paths.
_PATTERNS = {folder: grid.pattern(folder) for folder in (grid.FOLDER, grid.TWIN_FOLDER)}


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a job will compute.

    Attributes:
        spec: its specification; for twins, that of the residual network.
        code: digest of its code.
        drift: for twins, the settings for recording their drift, as they are in their checkpoint;
            None for a single run.
        taken: whether a run that another version of the code has trained is taken.
    """

    spec: RunSpec
    code: str
    drift: str | None = None
    taken: bool = False

    @property
    def identity(self) -> dict[str, str]:
        """The identity that a checkpoint must have for the job to continue from it.

        The data digest is left out, because it is not known here. For twins, only the residual
        network's part is given; the plain network's follows from it.
        """
        own = {"spec": self.spec.to_json(), "code": self.code}
        return own if self.drift is None else {**own, "drift": self.drift}


@dataclasses.dataclass(frozen=True)
class Job:
    """A training job: a single run, or a pair of twins, shown by its residual network.

    Attributes:
        name: network and depth, such as ``residual-20`` or ``twins-20``.
        initialisation: initialisation of the network.
        seed: seed of the run.
        folder: folder of the run's files, which may not exist yet.
        log: file with its log.
        plan: what it will compute; None without a configuration.
    """

    name: str
    initialisation: str
    seed: int
    folder: Path
    log: Path
    plan: Plan | None = None


def configured(
    config: Mapping[str, Any], results: Path, sections: list[str] | None = None
) -> list[Job]:
    """Return the jobs of a configuration, twins last.

    Args:
        config: a loaded configuration.
        results: the results folder.
        sections: only the jobs of these sections (keys of ``SETS``, or "twins"); None for all but
            those of ``APART``, and those that the configuration leaves out.
    """
    usual = {*SETS, TWINS} - APART - finished.left_out(config)
    wanted = usual if sections is None else sections
    runs = [run for name in wanted if name != TWINS for run in SETS[name](config)]
    jobs = []
    for run in sorted({*runs}, key=_order):
        plugins = run_plugins(config, run.architecture, run.initialisation)
        code = code_digest("train.py", "torch.yaml", *plugins)
        taken = config["finished_runs"] is not None
        plan = Plan(run_spec(config, *run), code, taken=taken)
        jobs.append(_run(results, run, plan))
    if TWINS in wanted:
        plugins = tuple(name for pair in grid.TWINS for name in run_plugins(config, *pair))
        code = code_digest("twins.py", "torch.yaml", *plugins)
        drift = "{every_step_epochs} {mask_pictures}".format(**config[TWINS])
        for depth, seed in grid.twin_pairs(config):
            plan = Plan(twin_spec(config, depth, seed), code, drift)
            jobs.append(_twins(results, depth, seed, plan))
    return jobs


def found(results: Path) -> list[Job]:
    """Return the jobs that have left files in a results folder."""
    runs = [
        grid.Run(architecture, int(depth), initialisation, int(seed))
        for architecture, depth, initialisation, seed in _places(results, grid.FOLDER)
        if architecture in registry.ARCHITECTURES
    ]
    pairs = [(int(depth), int(seed)) for depth, seed in _places(results, grid.TWIN_FOLDER)]
    return [
        *(_run(results, run, None) for run in sorted(runs, key=_order)),
        *(_twins(results, depth, seed, None) for depth, seed in sorted(pairs)),
    ]


def _places(results: Path, folder: str) -> Iterator[tuple[str, ...]]:
    """Yield the names in the path of each folder that is there, of a key of ``_PATTERNS``."""
    for place in results.glob(grid.wildcards(folder)):
        if found := _PATTERNS[folder].fullmatch(place.relative_to(results).as_posix()):
            yield found.groups()


def _order(run: grid.Run) -> tuple[int, int, str, int]:
    """Return a sort key: architecture, in the registry's order, then depth and the rest."""
    return (
        list(registry.ARCHITECTURES).index(run.architecture),
        run.depth,
        run.initialisation,
        run.seed,
    )


def _run(results: Path, run: grid.Run, plan: Plan | None) -> Job:
    return Job(
        name=f"{run.architecture}-{run.depth}",
        initialisation=run.initialisation,
        seed=run.seed,
        folder=results / run.folder,
        log=results / "logs" / grid.LOG.format(**run._asdict()),
        plan=plan,
    )


def _twins(results: Path, depth: int, seed: int, plan: Plan | None) -> Job:
    place = {"depth": depth, "seed": seed}
    return Job(
        name=f"{TWINS}-{depth}",
        initialisation="hmwi",
        seed=seed,
        folder=results / grid.TWIN_FOLDER.format(**place) / "residual",
        log=results / "logs" / grid.TWIN_LOG.format(**place),
        plan=plan,
    )
