"""Which training jobs there are: those of a configuration, or those that left files in a folder."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resnoise import registry
from resnoise.plan import grid
from resnoise.plan.specs import run_spec, twin_spec
from resnoise.provenance import code_digest
from resnoise.specs.run import RunSpec

TWINS = "twins"
# Sections of the configuration that ask for runs.
SETS = {**grid.SECTIONS, "runs": grid.further_runs}


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a job is to compute.

    Attributes:
        spec: specification; of two twins, the residual one's.
        code: digest of the program.
        drift: of two twins, what of their drift is recorded, as their checkpoint has it.
    """

    spec: RunSpec
    code: str
    drift: str | None = None

    @property
    def identity(self) -> dict[str, str]:
        """What a checkpoint must say of itself for the job to continue from it, besides the data.

        That of the plain twin follows from that of the residual one.
        """
        own = {"spec": self.spec.to_json(), "code": self.code}
        return own if self.drift is None else {**own, "drift": self.drift}


@dataclasses.dataclass(frozen=True)
class Job:
    """A training job: a run, or two twins, of which the residual network stands for both.

    Attributes:
        name: network and depth, such as ``residual-20``, or ``twins-20``.
        initialisation: of the network.
        seed: of the run.
        folder: where the run's files are or will be.
        log: its log.
        plan: None where no configuration says.
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
    """Return the jobs that a configuration leads to, in the order of its sections.

    Args:
        config: a loaded configuration.
        results: the results folder.
        sections: names of ``SETS``, or "twins"; None for all.
    """
    wanted = [*SETS, TWINS] if sections is None else sections
    runs = [run for name in wanted if name != TWINS for run in SETS[name](config)]
    jobs = []
    for run in sorted({*runs}, key=_order):
        plugins = registry.plugin_modules(run.architecture, run.initialisation)
        plan = Plan(run_spec(config, *run), code_digest("train.py", *plugins))
        jobs.append(_run(results, run, plan))
    if TWINS in wanted:
        plugins = tuple(name for pair in grid.TWINS for name in registry.plugin_modules(*pair))
        code = code_digest("twins.py", *plugins)
        drift = "{every_step_epochs} {mask_pictures}".format(**config[TWINS])
        for depth, seed in grid.twin_pairs(config):
            plan = Plan(twin_spec(config, depth, seed), code, drift)
            jobs.append(_twins(results, depth, seed, plan))
    return jobs


def found(results: Path) -> list[Job]:
    """Return the jobs that have left files in a results folder."""
    runs = []
    for folder in results.glob("runs/*/*/seed*"):
        architecture, _, depth = folder.parts[-3].rpartition("-")
        seed = folder.name.removeprefix("seed")
        if architecture in registry.ARCHITECTURES and depth.isdigit() and seed.isdigit():
            runs.append(grid.Run(architecture, int(depth), folder.parts[-2], int(seed)))
    pairs = []
    for folder in results.glob("twins/depth*/seed*"):
        depth = folder.parts[-2].removeprefix("depth")
        seed = folder.name.removeprefix("seed")
        if depth.isdigit() and seed.isdigit():
            pairs.append((int(depth), int(seed)))
    return [
        *(_run(results, run, None) for run in sorted(runs, key=_order)),
        *(_twins(results, depth, seed, None) for depth, seed in sorted(pairs)),
    ]


def _order(run: grid.Run) -> tuple[int, int, str, int]:
    """Return what runs are sorted by: architectures in the order of the registry, then size."""
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
