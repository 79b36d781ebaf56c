"""The training loop: trains runs in step, from their specifications to their files."""

import logging
import time
from collections.abc import Sequence
from typing import Any

from resnoise.data.dataset import Dataset
from resnoise.errors import ResnoiseError
from resnoise.specs.run import RunSpec
from resnoise.storage.files import exclusive, remove
from resnoise.training import checkpoint, history
from resnoise.training.observer import Observer
from resnoise.training.progress import Progress
from resnoise.training.run import DivergedError, Epoch, Run, RunFiles, start

_log = logging.getLogger(__name__)

# The state is saved after an epoch if so many times as long as saving it takes has gone by since it
# was saved last: after every epoch of the paper's networks, and for one part in twenty of the time
# where epochs are short.
_SAVED_EVERY = 20


def train(
    specs: Sequence[RunSpec],
    dataset: Dataset,
    files: Sequence[RunFiles],
    *,
    device: str,
    threads: int,
    code: str,
    cuda_graph: bool = False,
    observers: Sequence[Observer] = (),
) -> None:
    """Train networks in step and write their files; continue where a killed training stopped.

    A loss that becomes NaN or infinite ends the training of all runs: the last row of each history
    and each record say "diverged", with epoch and step, and the weights are those of that moment.

    While another process trains the same runs (a job that outlived its Snakemake, say), this one
    waits; it has nothing to do if the other finishes them.

    Args:
        specs: what to train: one run, or several with the same number of epochs and of mini-batches
            in an epoch.
        dataset: prepared pictures.
        files: the output files of each run. The checkpoint of all runs is the first one's.
        device: "auto", "cpu" or "cuda".
        threads: CPU threads; without effect on a continued training, see ``start``.
        code: digest of the program, written to the record; a checkpoint of another is refused.
        cuda_graph: on a GPU, replay the steps from a CUDA graph; without effect on a CPU.
        observers: called at every step and epoch; a checkpoint keeps their state too.

    Raises:
        ResnoiseError: there is no such device, a batch is larger than the training set, or a CUDA
            graph of a step is wanted and impossible.
    """
    settings = {key: value for each in observers for key, value in each.settings.items()}
    identities = [
        {"spec": spec.to_json(), "data": dataset.digest, "code": code, **settings} for spec in specs
    ]
    path = files[0].checkpoint
    with exclusive(path.parent) as waited:
        if waited and _is_finished(files, identities, observers):
            _log.info("the other process has finished the training")
            return
        states, observed = checkpoint.load(path, identities)
        runs = [
            start(spec, dataset, state, device=device, threads=threads, cuda_graph=cuda_graph)
            for spec, state in zip(specs, states, strict=True)
        ]
        for observer, kept in zip(observers, observed, strict=False):
            observer.load_state_dict(kept)
        outcome = _train_epochs(runs, files, identities, observers)
        for observer in observers:
            observer.write()
        for run, own, identity in zip(runs, files, identities, strict=True):
            run.write(own, identity, outcome)
        remove(path)


def _is_finished(
    files: Sequence[RunFiles],
    identities: Sequence[dict[str, str]],
    observers: Sequence[Observer],
) -> bool:
    """Return whether all results exist, are undamaged and belong to the runs of ``identities``."""
    try:
        for own, identity in zip(files, identities, strict=True):
            own.check(identity)
        for observer in observers:
            observer.check()
    except ResnoiseError as error:
        _log.info("the other process has not finished the training: %s", error)
        return False
    return True


def _train_epochs(
    runs: Sequence[Run],
    files: Sequence[RunFiles],
    identities: Sequence[dict[str, str]],
    observers: Sequence[Observer],
) -> dict[str, Any]:
    """Train all epochs that are left; return the outcome for the record."""
    lengths = {(run.spec.recipe.epochs, len(run.batches)) for run in runs}
    if len(lengths) > 1:
        raise ValueError(f"runs of different (epochs, steps) {lengths} cannot be trained in step")
    ((epochs, steps),) = lengths
    done = runs[0].state.epoch
    _write_histories(runs, files)
    saved, cost = time.perf_counter(), 0.0
    with Progress(epochs, steps, done) as progress:
        for number in range(done + 1, epochs + 1):
            started = time.perf_counter()
            try:
                rows = train_epoch(runs, number, [*observers, progress])
            except DivergedError as diverged:
                _log.warning("diverged: epoch %d, %s", number, diverged)
                for run in runs:
                    run.finish_diverged(number, time.perf_counter() - started)
                place = {"epoch": number, "step": diverged.step}
                return {"status": "diverged", "diverged_at": place}
            for run, row in zip(runs, rows, strict=True):
                run.finish_epoch(row)
            if time.perf_counter() - saved >= _SAVED_EVERY * cost:
                began = time.perf_counter()
                states = [run.state for run in runs]
                observed = [observer.state_dict() for observer in observers]
                checkpoint.save(files[0].checkpoint, states, identities, observed)
                _write_histories(runs, files)
                saved = time.perf_counter()
                cost = saved - began
            for observer in (progress, *observers):
                observer.on_epoch_end(runs, rows)
    return {"status": "done", "diverged_at": None}


def _write_histories(runs: Sequence[Run], files: Sequence[RunFiles]) -> None:
    for run, own in zip(runs, files, strict=True):
        history.write(own.history, run.state.history)


def train_epoch(
    runs: Sequence[Run], number: int, observers: Sequence[Observer]
) -> list[history.Row]:
    """Train runs in step for epoch ``number`` (from 1) and return each one's row.

    Raises:
        DivergedError: a loss became NaN or infinite.
    """
    for observer in observers:
        observer.on_epoch_start(runs, number)
    epochs = [Epoch(run, number) for run in runs]
    for _ in range(len(runs[0].batches)):
        steps = [epoch.step() for epoch in epochs]
        for observer in observers:
            observer.on_step_end(runs, steps)
    return [epoch.finish() for epoch in epochs]
