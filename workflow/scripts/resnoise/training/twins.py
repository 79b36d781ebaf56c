"""Twin training (section 4.1): a residual network and its equivalent plain one, step by step.

The plain network starts from T(r0) and both see the same augmented mini-batches; in exact
arithmetic they stay equal for ever. What is recorded is how rounding errors make them drift.
"""

import dataclasses
import logging
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from resnoise.data.dataset import Dataset
from resnoise.errors import ResnoiseError
from resnoise.networks.simplified import SimplifiedNet
from resnoise.networks.transfer import to_plain
from resnoise.specs.run import RunSpec
from resnoise.storage.digests import check_csv, read_json, write_json, write_rows
from resnoise.storage.files import exclusive, remove
from resnoise.training import checkpoint, history
from resnoise.training.loop import DivergedError, Run, RunFiles, Step, is_finished, start
from resnoise.training.progress import Progress

_log = logging.getLogger(__name__)

RESIDUAL, PLAIN = "residual", "plain"


@dataclasses.dataclass(frozen=True)
class Drift:
    """How far the twins are apart at one step.

    Attributes:
        epoch: from 1.
        step: steps since the start, from 1.
        risk_residual: mean cross-entropy of the step's mini-batch, before the step's update.
        risk_plain: the same of the plain network.
        risk_difference: their absolute difference.
        weight_difference: max |T(r) - p| over all parameters, after the update.
        mask_layer: first convolution (from 1) with an output that is positive in one network and
            not in the other, before the update; 0 if there is none.
        mask_differences: how many such outputs there are in all layers.
    """

    epoch: int
    step: int
    risk_residual: float
    risk_plain: float
    risk_difference: float
    weight_difference: float
    mask_layer: int
    mask_differences: int


def train_twins(
    residual: RunSpec,
    plain: RunSpec,
    dataset: Dataset,
    files: Mapping[str, RunFiles],
    drift: Path,
    *,
    every_step_epochs: int,
    mask_pictures: int,
    device: str,
    threads: int,
    code: str,
) -> None:
    """Train both networks in step, write their files and the drift; continue a killed training.

    If one of them diverges, both stop there. While another process trains the same, this one waits,
    and takes what the other wrote if that is finished.

    Args:
        residual: the residual network.
        plain: the plain network, from the transferred initialisation; equal otherwise.
        dataset: prepared pictures.
        files: where to write each network, under "residual" and "plain". The checkpoint of both
            lies with the residual network's.
        drift: CSV with a row for each ``Drift``.
        every_step_epochs: the drift is recorded at every step of so many epochs, and then at the
            last step of each epoch.
        mask_pictures: ReLU masks are compared on so many pictures of a mini-batch.
        device: "auto", "cpu" or "cuda".
        threads: CPU threads.
        code: digest of the program.

    Raises:
        ResnoiseError: the two specifications are no twins, or as ``resnoise.training.loop.start``.
    """
    _check_twins(residual, plain)
    specs = {RESIDUAL: residual, PLAIN: plain}
    recorded = f"{every_step_epochs} {mask_pictures}"
    identities = {
        name: {"spec": spec.to_json(), "data": dataset.digest, "code": code, "drift": recorded}
        for name, spec in specs.items()
    }
    identity = {f"{name} {key}": v for name in specs for key, v in identities[name].items()}
    kept = files[RESIDUAL].checkpoint
    with exclusive(kept.parent) as waited:
        if waited and _are_finished(files, identities, drift):
            _log.info("the other process has finished the runs")
            return
        states, rows = _resumed(kept, identity)
        runs = {
            name: start(spec, dataset, states.get(name), device=device, threads=threads)
            for name, spec in specs.items()
        }
        twins = Twins(runs[RESIDUAL], runs[PLAIN], mask_pictures)
        outcome = _train_epochs(twins, rows, every_step_epochs, files, identity)
        write_rows(drift, Drift, rows)
        for name, run in runs.items():
            run.write(files[name], identities[name], outcome)
        remove(kept)
        remove(_kept_drift(kept))


def _are_finished(
    files: Mapping[str, RunFiles], identities: Mapping[str, dict[str, str]], drift: Path
) -> bool:
    """Return whether all files of both runs and the drift are there, whole, and of these runs."""
    try:
        check_csv(drift)
    except ResnoiseError as error:
        _log.info("the other process has not finished the runs: %s", error)
        return False
    return all(is_finished(files[name], identities[name]) for name in files)


def _resumed(
    kept: Path, identity: dict[str, str]
) -> tuple[dict[str, checkpoint.State], list[Drift]]:
    """Return states and drift of a killed training; nothing of either if one is of no use."""
    states = checkpoint.load(kept, identity) or {}
    if not states:
        return {}, []
    try:
        rows = [Drift(**row) for row in read_json(_kept_drift(kept))["drift"]]
    except ResnoiseError as error:
        _log.warning("drift of the checkpoint refused, starting anew: %s", error)
        return {}, []
    return states, [row for row in rows if row.epoch <= states[RESIDUAL].epoch]


def _kept_drift(kept: Path) -> Path:
    """Return where the drift up to a checkpoint is.

    Beside the checkpoint, because a workflow engine deletes the outputs of a failed job.
    """
    return kept.with_name("resume-drift.json")


def _train_epochs(
    twins: "Twins",
    rows: list[Drift],
    every_step_epochs: int,
    files: Mapping[str, RunFiles],
    identity: dict[str, str],
) -> dict[str, Any]:
    """Train for the epochs that are left, append the drift to ``rows`` and return the outcome."""
    runs = {RESIDUAL: twins.residual, PLAIN: twins.plain}
    kept = files[RESIDUAL].checkpoint
    epochs = twins.residual.spec.recipe.epochs
    done = twins.residual.state.epoch
    with Progress(epochs, len(twins.residual.batches), done) as progress:
        for epoch in range(done + 1, epochs + 1):
            started = time.perf_counter()
            try:
                finished = twins.train_epoch(epoch, epoch <= every_step_epochs, rows, progress)
            except DivergedError as diverged:
                seconds = time.perf_counter() - started
                twins.plain.finish_diverged(epoch, diverged, seconds)
                return twins.residual.finish_diverged(epoch, diverged, seconds)
            for name, row in finished.items():
                runs[name].finish_epoch(row)
                history.write(files[name].history, runs[name].state.history)
            # The drift goes first: rows beyond the checkpoint's epoch are dropped on resuming.
            write_json(_kept_drift(kept), {"drift": [dataclasses.asdict(row) for row in rows]})
            checkpoint.save(kept, {name: run.state for name, run in runs.items()}, identity)
            # The plain network's row ends after the evaluation of both.
            progress.epoch(finished[PLAIN])
            last = rows[-1]
            _log.info(
                "drift after step %d: risk %.3g, weights %.3g, ReLU masks %d",
                *(last.step, last.risk_difference, last.weight_difference, last.mask_differences),
            )
    return {"status": "done", "diverged_at": None}


class Twins:
    """A residual run and its plain twin."""

    def __init__(self, residual: Run, plain: Run, mask_pictures: int) -> None:
        """Take two runs that have done the same number of epochs."""
        self.residual = residual
        self.plain = plain
        self.mask_pictures = mask_pictures

    def train_epoch(
        self, epoch: int, every_step: bool, rows: list[Drift], progress: Progress
    ) -> dict[str, history.Row]:
        """Train both for one epoch, append the drift to ``rows`` and return each one's row.

        Raises:
            DivergedError: a loss became NaN or infinite.
        """
        steps = len(self.residual.batches)
        pairs = _Pair(self.residual.train_epoch(epoch), self.plain.train_epoch(epoch))
        before = self._masks_due(every_step or steps == 1)
        for one, two in pairs:
            if every_step or one.number == steps:
                assert before is not None
                rows.append(self._drift(epoch, one, two, before))
            before = self._masks_due(every_step or one.number + 1 == steps)
            progress.step()
        return {RESIDUAL: pairs.rows[0], PLAIN: pairs.rows[1]}

    def _masks_due(self, due: bool) -> tuple[list[Tensor], list[Tensor]] | None:
        """Return copies of both networks' weights, with which masks will be compared, if due."""
        if not due:
            return None
        networks = (self.residual.network, self.plain.network)
        one, two = ([p.detach().clone() for p in network.parameters()] for network in networks)
        return one, two

    def _drift(
        self, epoch: int, one: Step, two: Step, before: tuple[list[Tensor], list[Tensor]]
    ) -> Drift:
        """Return how far the twins are apart after a step that started with weights ``before``."""
        inputs = one.inputs[: self.mask_pictures]
        networks = (self.residual.network, self.plain.network)
        counts = mask_differences(networks, before, inputs)
        layers = [layer for layer, count in enumerate(counts, start=1) if count]
        risk_residual, risk_plain = float(one.loss), float(two.loss)
        return Drift(
            epoch=epoch,
            step=(epoch - 1) * len(self.residual.batches) + one.number,
            risk_residual=risk_residual,
            risk_plain=risk_plain,
            risk_difference=abs(risk_residual - risk_plain),
            weight_difference=weight_difference(*networks),
            mask_layer=layers[0] if layers else 0,
            mask_differences=sum(counts),
        )


class _Pair:
    """Goes through two epochs in step and keeps what each returns in the end."""

    def __init__(self, *epochs: Generator[Step, None, history.Row]) -> None:
        self.epochs = epochs
        self.rows: list[history.Row] = []

    def __iter__(self) -> Generator[tuple[Step, Step], None, None]:
        one, two = self.epochs
        while True:
            steps = []
            for epoch in (one, two):
                try:
                    steps.append(next(epoch))
                except StopIteration as finished:
                    self.rows.append(finished.value)
            if self.rows:
                return
            yield steps[0], steps[1]


@torch.no_grad()
def weight_difference(residual: torch.nn.Module, plain: torch.nn.Module) -> float:
    """Return max |T(r) - p| over all parameters of a residual and a plain network."""
    transferred = to_plain(dict(residual.named_parameters()))
    weights = dict(plain.named_parameters())
    return max(float((transferred[name] - weights[name]).abs().max()) for name in weights)


@torch.no_grad()
def mask_differences(
    networks: Sequence[torch.nn.Module], weights: Sequence[Sequence[Tensor]], inputs: Tensor
) -> list[int]:
    """Return for each convolution how many outputs are positive in just one of two networks.

    Args:
        networks: two simplified networks of one depth, restored to their own weights afterwards.
        weights: parameters of each to compute with.
        inputs: [B, C, H, W].
    """
    masks = []
    for network, values in zip(networks, weights, strict=True):
        assert isinstance(network, SimplifiedNet)
        names = [name for name, _ in network.named_parameters()]
        found: list[Tensor] = []
        layers = [network.conv1, *network.blocks()]
        hooks = [
            layer.register_forward_hook(lambda _module, _inputs, y, kept=found: kept.append(y > 0))
            for layer in layers
        ]
        try:
            torch.func.functional_call(network, dict(zip(names, values, strict=True)), (inputs,))
        finally:
            for hook in hooks:
                hook.remove()
        masks.append(found)
    return [int((one != two).sum()) for one, two in zip(*masks, strict=True)]


def _check_twins(residual: RunSpec, plain: RunSpec) -> None:
    """Raise ResnoiseError unless the two runs differ in identity connections alone."""
    network = dataclasses.replace(residual.network, architecture="plain")
    same = dataclasses.replace(residual, network=network, initialisation=plain.initialisation)
    if residual.network.architecture != "residual" or same != plain:
        raise ResnoiseError(
            f"{plain.to_json()} given as the twin of {residual.to_json()}, allowed: a residual "
            "network and a plain one that differ in architecture and initialisation only"
        )
