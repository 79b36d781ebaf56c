"""One training run: its network, optimiser, mini-batches and state (section 4, appendix A)."""

import dataclasses
import logging
import math
import time
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from resnoise import devices
from resnoise.data.dataset import Dataset
from resnoise.environment import describe_environment
from resnoise.errors import ResnoiseError
from resnoise.initialisations import initial_network
from resnoise.specs.run import CHECKPOINT, RunSpec
from resnoise.storage import tensorfile
from resnoise.storage.checksum import file_digest
from resnoise.storage.digests import check_csv, read_json, stamp, write_json
from resnoise.training import backend as backends
from resnoise.training import checkpoint, history, update
from resnoise.training.batches import Normalisation, TrainingBatches
from resnoise.training.checkpoint import State, copy_weights, set_weights
from resnoise.training.evaluation import evaluate
from resnoise.training.objective import Penalty, sgd
from resnoise.training.schedule import learning_rate

_log = logging.getLogger(__name__)


class DivergedError(Exception):
    """The loss became NaN or infinite at ``step`` (from 1) of an epoch."""

    def __init__(self, step: int) -> None:
        super().__init__(f"loss not finite at step {step}")
        self.step = step


class Step(NamedTuple):
    """One step of training.

    Attributes:
        epoch: from 1.
        number: from 1 in each epoch.
        inputs: the mini-batch, [B, C, H, W].
        loss: its mean cross-entropy before the step, scalar; the next step may overwrite it.
    """

    epoch: int
    number: int
    inputs: Tensor
    loss: Tensor


@dataclasses.dataclass(frozen=True)
class RunFiles:
    """The output files of a run.

    Attributes:
        weights: weights after training.
        snapshots: weights before training, after the first iteration and after chosen epochs.
        history: CSV, rewritten whenever the checkpoint is.
        record: JSON with specification, digests, versions, host, durations and outcome.
    """

    weights: Path
    snapshots: Path
    history: Path
    record: Path

    @classmethod
    def in_folder(cls, folder: Path) -> Self:
        """Return the files of a run under their usual names."""
        names = ("weights.safetensors", "snapshots.safetensors", "history.csv", "run.json")
        return cls(*(folder / name for name in names))

    @property
    def checkpoint(self) -> Path:
        """The file to resume from; it exists only while the run is unfinished."""
        return self.weights.with_name(CHECKPOINT)

    def check(self, identity: dict[str, str]) -> None:
        """Check that all files are undamaged and belong to the run of ``identity``.

        Raises:
            ResnoiseError: a file is missing, damaged, or of another run.
        """
        check_csv(self.history)
        record = read_json(self.record)
        found = {"data": record.get("data_digest"), "code": record.get("code_digest")}
        same = found.items() <= identity.items()
        for file in (self.weights, self.snapshots):
            same = tensorfile.load(file)[1] == identity and same
        if not same:
            raise ResnoiseError(f"{self.record.parent}: holds the files of another run")


def start(
    spec: RunSpec,
    dataset: Dataset,
    state: State | None,
    *,
    device: str,
    threads: int,
    cuda_graph: bool,
) -> "Run":
    """Return a run, new or continued, with a record of this process among its sessions.

    Args:
        spec: what to train.
        dataset: prepared pictures.
        state: the state in which a killed process left the run; None for a new run.
        device: "auto", "cpu" or "cuda".
        threads: CPU threads. A continued run keeps the number that it was started with, because the
            number of threads decides how sums are rounded.
        cuda_graph: replay the steps from a CUDA graph, if the device is a GPU.

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
    record = update.cuda_graph if cuda_graph and chosen.type == "cuda" else None
    run = Run(spec, dataset, chosen, state, record=record)
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
    """Warn of differences between two sessions that change how sums are rounded."""
    for what in ("device", "processor", "conv_backend", "torch"):
        old, new = ({**session, **session["packages"]}[what] for session in (before, now))
        if old != new:
            _log.warning(
                "%s was %s before the stop and is %s now: the result will differ in the last "
                "digits from an uninterrupted run's",
                *(what, old, new),
            )


class Run:
    """Network, optimiser and data of one run, at its start or at the state of a checkpoint."""

    def __init__(
        self,
        spec: RunSpec,
        dataset: Dataset,
        device: torch.device,
        state: State | None,
        *,
        record: update.Record | None = None,
    ) -> None:
        """Build the network and move everything to the device.

        Args:
            spec: what to train.
            dataset: prepared pictures.
            device: where to compute.
            state: where to continue; None for a new run.
            record: how to record the steps, to replay them; None to call each of their operations
                every time.
        """
        recipe = spec.recipe
        self.spec = spec
        dtype = devices.WEIGHT_DTYPES[recipe.precision]
        self.network = network = initial_network(spec, dataset, device)
        self.penalty = Penalty(network, recipe)
        self.optimizer = sgd(self.penalty, recipe)
        self.backend = backends.select(network, spec, *dataset.train_images.shape[1:3])
        step = update.Update(self.backend, self.penalty, self.optimizer)
        self.update: update.Step = update.ReplayedUpdate(step, record) if record else step
        self.normalise = Normalisation(dataset.channel_mean, dataset.channel_std, device, dtype)
        self.train_images = torch.from_numpy(dataset.train_images).to(device)
        self.train_labels = torch.from_numpy(dataset.train_labels).to(device)
        self.batches = TrainingBatches(
            self.train_images,
            self.train_labels,
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
            checkpoint.set_momentum(network, self.optimizer, state.momentum)
        else:
            weights = copy_weights(network)
            self.state = State(0, weights, {}, {"initial": weights}, [], [])

    def evaluate(self, pictures: Tensor, labels: Tensor) -> tuple[float, float]:
        """Return loss and error on pictures without augmentation."""
        return evaluate(self.backend.logits, pictures, labels, self.normalise)

    def write(self, files: RunFiles, identity: dict[str, str], outcome: dict[str, Any]) -> None:
        """Write the outputs of a finished run.

        Args:
            files: where to write.
            identity: specification, data digest and code digest.
            outcome: status and, for a diverged run, epoch and step.
        """
        snapshots = checkpoint.flatten(self.state.snapshots)
        digests = {
            "weights": tensorfile.save(files.weights, self.state.weights, identity),
            "snapshots": tensorfile.save(files.snapshots, snapshots, identity),
        }
        history.write(files.history, self.state.history)
        stamp(files.history, {"run": dataclasses.asdict(self.spec), "data": identity["data"]})
        record = {
            "spec": dataclasses.asdict(self.spec),
            "files": {**digests, "history": file_digest(files.history)},
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
        state.momentum = checkpoint.copy_momentum(self.network, self.optimizer)
        if row.epoch in self.spec.recipe.snapshot_epochs and row.status != "diverged":
            state.snapshots[f"epoch{row.epoch}"] = state.weights

    def finish_diverged(self, epoch: int, seconds: float) -> None:
        """Bring the state to the end of ``epoch``, which diverged after ``seconds``."""
        rate = learning_rate(self.spec.recipe, epoch)
        self.finish_epoch(history.Row(epoch, rate, seconds=seconds, status="diverged"))


class Epoch:
    """One epoch of a run, trained a step at a time.

    After ``len(run.batches)`` calls of ``step``, ``finish`` gives the epoch's row.
    """

    def __init__(self, run: Run, number: int) -> None:
        """Begin epoch ``number`` (from 1): set the learning rate, shuffle the pictures."""
        self.run = run
        self.number = number
        self.rate = learning_rate(run.spec.recipe, number)
        run.optimizer.rate = self.rate
        steps, device = len(run.batches), run.test_labels.device
        self.losses = torch.zeros(steps, dtype=run.normalise.dtype, device=device)
        self.sizes: list[int] = []
        self.wrong = torch.zeros((), dtype=torch.int64, device=device)
        self.steps_done = 0
        self.started = self.trained = time.perf_counter()
        self.batches = run.batches.epoch(number)

    def step(self) -> Step:
        """Train on the next mini-batch.

        Raises:
            DivergedError: this is the last step, and its loss, or that of one before, is NaN or
                infinite.
        """
        run, index = self.run, self.steps_done
        inputs, labels = next(self.batches)
        loss, errors = run.update(inputs, labels)
        self.losses[index] = loss
        self.sizes.append(len(labels))
        self.wrong += errors
        self.steps_done = done = index + 1
        if self.number == 1 and done == 1:
            run.state.snapshots["iteration1"] = copy_weights(run.network)
        if done == len(run.batches):
            # Not before, because this waits until a GPU has done all queued work.
            bad = torch.nonzero(~torch.isfinite(self.losses))
            if len(bad):
                raise DivergedError(int(bad[0]) + 1)
            self.trained = time.perf_counter()
        return Step(self.number, done, inputs, loss)

    def finish(self) -> history.Row:
        """Evaluate after the epoch and return its row.

        Raises:
            DivergedError: the loss on the test set or the training set is NaN or infinite.
        """
        run = self.run
        count = run.batches.count
        sizes = torch.tensor(self.sizes, dtype=torch.float64, device=self.losses.device)
        risk = float((self.losses.double() * sizes).sum()) / count
        train_error = int(self.wrong) / count
        if run.spec.recipe.epoch_risk == "training-set":
            risk, train_error = run.evaluate(run.train_images, run.train_labels)
        test_loss, test_error = run.evaluate(run.test_images, run.test_labels)
        if not (math.isfinite(test_loss) and math.isfinite(risk)):
            raise DivergedError(self.steps_done)
        return history.Row(
            epoch=self.number,
            lr=self.rate,
            risk=risk,
            cost=risk + run.penalty.value(),
            train_error=train_error,
            test_loss=test_loss,
            test_error=test_error,
            seconds=time.perf_counter() - self.started,
            images_per_second=count / (self.trained - self.started),
        )
