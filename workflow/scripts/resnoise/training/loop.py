"""Train one network from its specification to its files (section 4, appendix A)."""

import dataclasses
import logging
import math
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from resnoise import devices, tensorfile
from resnoise.data.dataset import Dataset
from resnoise.digests import check_csv, read_json, write_json
from resnoise.environment import describe_environment
from resnoise.errors import ResnoiseError
from resnoise.evaluation import evaluate
from resnoise.files import exclusive, remove
from resnoise.initialisations import initialise
from resnoise.networks import build
from resnoise.specs import RunSpec
from resnoise.training import backend as backends
from resnoise.training import checkpoint, history
from resnoise.training.batches import Normalisation, TrainingBatches
from resnoise.training.checkpoint import State, copy_weights, set_weights
from resnoise.training.descent import Descent
from resnoise.training.objective import Penalty, sgd
from resnoise.training.progress import Progress
from resnoise.training.schedule import learning_rate

_log = logging.getLogger(__name__)

# Losses are looked at in groups, because each look makes a GPU wait for its queue to empty.
STEPS_BETWEEN_CHECKS = 100


class DivergedError(Exception):
    """The loss became NaN or infinite at ``step`` (from 1) of an epoch."""

    def __init__(self, step: int) -> None:
        super().__init__(f"loss not finite at step {step}")
        self.step = step


class Step(NamedTuple):
    """One step of training.

    Attributes:
        number: from 1 in each epoch.
        inputs: the mini-batch, [B, C, H, W].
        loss: its mean cross-entropy before the step, scalar.
    """

    number: int
    inputs: Tensor
    loss: Tensor


@dataclasses.dataclass(frozen=True)
class RunFiles:
    """Where a run is written.

    Attributes:
        weights: weights after training.
        snapshots: weights before training, after the first iteration and after chosen epochs.
        history: CSV, rewritten after every epoch.
        record: JSON with specification, digests, versions, host, durations and outcome.
    """

    weights: Path
    snapshots: Path
    history: Path
    record: Path

    @property
    def checkpoint(self) -> Path:
        """The file to resume from; it is there only while the run is unfinished."""
        return self.weights.with_name("resume.safetensors")


def train(
    spec: RunSpec, dataset: Dataset, files: RunFiles, *, device: str, threads: int, code: str
) -> None:
    """Train the network of ``spec`` and write ``files``; continue where a killed run stopped.

    A loss that becomes NaN or infinite ends the training: the history's last row and the record say
    "diverged", with epoch and step, and the weights are those of that moment.

    While another process trains the same run, as a job whose Snakemake was killed does, this one
    waits, and takes what the other wrote if that is the finished run.

    Args:
        spec: what to train.
        dataset: prepared pictures.
        files: where to write.
        device: "auto", "cpu" or "cuda".
        threads: CPU threads. A run that was started with another number keeps that number, because
            the number of threads decides how sums are rounded.
        code: digest of the program, written to the record; a checkpoint of another is refused.

    Raises:
        ResnoiseError: no such device, or a batch larger than the training set.
    """
    identity = {"spec": spec.to_json(), "data": dataset.digest, "code": code}
    with exclusive(files.checkpoint.parent) as waited:
        if waited and is_finished(files, identity):
            _log.info("the other process has finished the run")
            return
        states = checkpoint.load(files.checkpoint, identity) or {}
        run = start(spec, dataset, states.get("run"), device=device, threads=threads)
        outcome = _train_epochs(run, files, identity)
        run.write(files, identity, outcome)
        remove(files.checkpoint)


def is_finished(files: RunFiles, identity: dict[str, str]) -> bool:
    """Return whether all files of a run are there, whole, and of this run.

    Args:
        files: of the run.
        identity: what its weights must say of themselves.
    """
    try:
        check_csv(files.history)
        record = read_json(files.record)
        tensors = [tensorfile.load(file)[1] for file in (files.weights, files.snapshots)]
    except ResnoiseError as error:
        _log.info("the other process has not finished the run: %s", error)
        return False
    digests = (record["data_digest"], record["code_digest"])
    same = digests == (identity["data"], identity["code"])
    return same and all(found == identity for found in tensors)


def start(
    spec: RunSpec, dataset: Dataset, state: State | None, *, device: str, threads: int
) -> "Run":
    """Return a run to train on, from ``state`` or from the start, with a session of this process.

    Args:
        spec: what to train.
        dataset: prepared pictures.
        state: where a killed process stopped.
        device: "auto", "cpu" or "cuda".
        threads: CPU threads, without effect if ``state`` was computed with another number.

    Raises:
        ResnoiseError: no such device, or a batch larger than the training set.
    """
    recipe = spec.recipe
    if recipe.batch_size > len(dataset.train_labels):
        raise ResnoiseError(
            f"batch_size: {recipe.batch_size} given, allowed: at most the "
            f"{len(dataset.train_labels)} training pictures"
        )
    if state:
        _log.info("continuing after epoch %d of %d", state.epoch, recipe.epochs)
        if state.sessions[-1]["threads"] != threads:
            threads = state.sessions[-1]["threads"]
            _log.info("using %d threads, as when the run was started", threads)
    chosen = devices.set_up(device, threads, recipe.allow_tf32)
    run = Run(spec, dataset, chosen, state)
    session = {
        **describe_environment(chosen, threads),
        "conv_backend": run.backend.name,
        "first_epoch": run.state.epoch + 1,
        "seconds": 0.0,
    }
    if state:
        _warn_of_changes(state.sessions[-1], session)
    run.state.sessions.append(session)
    return run


def _warn_of_changes(before: dict[str, Any], now: dict[str, Any]) -> None:
    """Log what differs from the process that stopped and decides how sums are rounded."""
    changes = [
        (what, before[what], now[what])
        for what in ("device", "processor", "conv_backend")
        if before[what] != now[what]
    ]
    versions = before["packages"]["torch"], now["packages"]["torch"]
    if versions[0] != versions[1]:
        changes.append(("torch", *versions))
    for what, old, new in changes:
        _log.warning(
            "%s was %s before the stop and is %s now: the result will differ in the last digits "
            "from an uninterrupted run's",
            what,
            old,
            new,
        )


class Run:
    """The objects of one run, set to ``state`` or to the start."""

    def __init__(
        self, spec: RunSpec, dataset: Dataset, device: torch.device, state: State | None
    ) -> None:
        recipe = spec.recipe
        self.spec = spec
        dtype = devices.WEIGHT_DTYPES[recipe.precision]
        network = build(spec.network, len(dataset.class_names), dataset.train_images.shape[3])
        network = devices.place(network, device, recipe.precision)
        initialise(network, spec.initialisation, spec.seed)
        self.network: nn.Module = network
        self.penalty = Penalty(network, recipe)
        self.optimizer = sgd(self.penalty, recipe)
        self.backend = backends.select(network, spec, *dataset.train_images.shape[1:3])
        self.normalise = Normalisation(dataset.channel_mean, dataset.channel_std, device, dtype)
        self.batches = TrainingBatches(
            torch.from_numpy(dataset.train_images).to(device),
            torch.from_numpy(dataset.train_labels).to(device),
            self.normalise,
            batch_size=recipe.batch_size,
            crop_padding=recipe.crop_padding,
            horizontal_flip=recipe.horizontal_flip,
            seed=spec.seed,
        )
        self.test_images = torch.from_numpy(dataset.test_images).to(device)
        self.test_labels = torch.from_numpy(dataset.test_labels).to(device)
        if state:
            self.state = state
            set_weights(network, state.weights)
            _set_momentum(network, self.optimizer, state.momentum)
        else:
            weights = copy_weights(network)
            self.state = State(0, weights, {}, {"initial": weights}, [], [])

    def train_epoch(self, epoch: int) -> Generator[Step, None, history.Row]:
        """Train one epoch, evaluate on the test set and return the epoch's row.

        Yields what each step did, so that a caller can show progress or train runs in step.

        Raises:
            DivergedError: the loss became NaN or infinite.
        """
        rate = learning_rate(self.spec.recipe, epoch)
        self.optimizer.rate = rate
        start = time.perf_counter()
        losses, sizes, wrong, trained = yield from self._train_batches(epoch)
        risk = float((losses.double() * sizes).sum()) / self.batches.count
        test_loss, test_error = self.evaluate()
        if not math.isfinite(test_loss):
            raise DivergedError(len(self.batches))
        return history.Row(
            epoch=epoch,
            lr=rate,
            risk=risk,
            cost=risk + self.penalty.value(),
            train_error=wrong / self.batches.count,
            test_loss=test_loss,
            test_error=test_error,
            seconds=time.perf_counter() - start,
            images_per_second=self.batches.count / (trained - start),
        )

    def evaluate(self) -> tuple[float, float]:
        """Return loss and error on the test set."""
        return evaluate(self.backend.logits, self.test_images, self.test_labels, self.normalise)

    def _train_batches(
        self, epoch: int
    ) -> Generator[Step, None, tuple[Tensor, Tensor, int, float]]:
        """Return losses and sizes of all mini-batches, the number of wrong predictions, and when.

        The last is the time at the end of the last step, before a caller does anything else.
        """
        steps = len(self.batches)
        device = self.test_labels.device
        losses = torch.zeros(steps, dtype=self.normalise.dtype, device=device)
        sizes = torch.zeros(steps, dtype=torch.float64, device=device)
        wrong = torch.zeros((), dtype=torch.int64, device=device)
        trained = time.perf_counter()
        for step, (inputs, labels) in enumerate(self.batches.epoch(epoch)):
            loss, errors = self.backend.loss_and_gradients(inputs, labels)
            self.penalty.add_identity_gradient()
            self.optimizer.step()
            losses[step] = loss
            sizes[step] = len(labels)
            wrong += errors
            if epoch == 1 and step == 0:
                self.state.snapshots["iteration1"] = copy_weights(self.network)
            if (step + 1) % STEPS_BETWEEN_CHECKS == 0 or step + 1 == steps:
                _check_finite(losses[: step + 1])
                trained = time.perf_counter()
            yield Step(step + 1, inputs, loss)
        return losses, sizes, int(wrong), trained

    def write(self, files: RunFiles, identity: dict[str, str], outcome: dict[str, Any]) -> None:
        """Write the outputs of a finished run.

        Args:
            files: where to.
            identity: specification, data digest and code digest.
            outcome: status, and where a diverged run did.
        """
        tensorfile.save(files.weights, self.state.weights, identity)
        tensorfile.save(files.snapshots, checkpoint.flatten(self.state.snapshots), identity)
        history.write(files.history, self.state.history)
        record = {
            "spec": dataclasses.asdict(self.spec),
            "data_digest": identity["data"],
            "code_digest": identity["code"],
            **outcome,
            "epochs_done": self.state.epoch,
            "parameters": sum(p.numel() for p in self.network.parameters()),
            "seconds": sum(session["seconds"] for session in self.state.sessions),
            "sessions": self.state.sessions,
        }
        write_json(files.record, record)

    def finish_epoch(self, row: history.Row) -> None:
        """Bring the state to the end of the epoch of ``row``."""
        state = self.state
        state.epoch = row.epoch
        state.history.append(row)
        state.sessions[-1]["seconds"] += row.seconds
        state.weights = copy_weights(self.network)
        state.momentum = _momentum(self.network, self.optimizer)
        if row.epoch in self.spec.recipe.snapshot_epochs:
            state.snapshots[f"epoch{row.epoch}"] = state.weights

    def finish_diverged(
        self, epoch: int, diverged: DivergedError, seconds: float
    ) -> dict[str, Any]:
        """Bring the state to the end of an epoch that diverged; return the outcome."""
        _log.warning("diverged: epoch %d, %s", epoch, diverged)
        self.finish_epoch(_diverged_row(epoch, learning_rate(self.spec.recipe, epoch), seconds))
        return {"status": "diverged", "diverged_at": {"epoch": epoch, "step": diverged.step}}


def _train_epochs(run: Run, files: RunFiles, identity: dict[str, str]) -> dict[str, Any]:
    """Train all epochs that are left; return the outcome for the record."""
    epochs = run.spec.recipe.epochs
    history.write(files.history, run.state.history)
    with Progress(epochs, len(run.batches), run.state.epoch) as progress:
        for epoch in range(run.state.epoch + 1, epochs + 1):
            start = time.perf_counter()
            steps = run.train_epoch(epoch)
            try:
                while True:
                    next(steps)
                    progress.step()
            except StopIteration as finished:
                row = finished.value
            except DivergedError as diverged:
                return run.finish_diverged(epoch, diverged, time.perf_counter() - start)
            run.finish_epoch(row)
            checkpoint.save(files.checkpoint, {"run": run.state}, identity)
            history.write(files.history, run.state.history)
            progress.epoch(row)
    return {"status": "done", "diverged_at": None}


def _diverged_row(epoch: int, rate: float, seconds: float) -> history.Row:
    nan = math.nan
    return history.Row(epoch, rate, nan, nan, nan, nan, nan, seconds, nan, status="diverged")


def _check_finite(losses: Tensor) -> None:
    """Raise DivergedError for the first loss that is NaN or infinite."""
    bad = torch.nonzero(~torch.isfinite(losses))
    if len(bad):
        raise DivergedError(int(bad[0]) + 1)


def _momentum(network: nn.Module, optimizer: Descent) -> checkpoint.Weights:
    """Return copies of the momentum of every parameter by name."""
    return {
        name: optimizer.velocity[parameter].to("cpu", copy=True).contiguous().numpy()
        for name, parameter in network.named_parameters()
        if parameter in optimizer.velocity
    }


def _set_momentum(network: nn.Module, optimizer: Descent, momentum: checkpoint.Weights) -> None:
    """Set the momentum that ``_momentum`` returned, laid out in memory as the parameters are."""
    for name, parameter in network.named_parameters():
        if name in momentum:
            buffer = torch.empty_like(parameter, memory_format=torch.preserve_format)
            buffer.detach_().copy_(torch.from_numpy(momentum[name]))
            optimizer.velocity[parameter] = buffer
