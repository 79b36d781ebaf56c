"""Steps that are recorded and replayed: the same bits as steps that are not, and clear errors.

Instead of a graphics card, the tests have a recording of their own on the CPU. Like a CUDA graph,
it is the list of PyTorch's operations with the memory that they read and write, knows nothing of
Python's part of the step, and cannot contain an operation that waits for a value.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import examples
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from resnoise import registry
from resnoise.data.dataset import Dataset
from resnoise.errors import ResnoiseError
from resnoise.specs.run import RunSpec, plain_twin
from resnoise.training import checkpoint, loop
from resnoise.training import run as run_module
from resnoise.training.backend import TorchBackend
from resnoise.training.run import Run, RunFiles
from resnoise.training.twins import DriftRecorder
from resnoise.training.update import WARM_UP, Outcome, ReplayedUpdate

# Operations whose result Python needs, for which it must wait until a card is ready.
pytestmark = pytest.mark.usefixtures("saved_after_every_epoch")

WAITING = {
    torch.ops.aten._local_scalar_dense.default,
    torch.ops.aten.nonzero.default,
    torch.ops.aten.equal.default,
}


class Recorder(TorchDispatchMode):
    """Keeps all operations that are called."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(
        self, function: Any, _types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function in WAITING:
            raise RuntimeError(f"{function} waits")
        results = function(*args, **(kwargs or {}))
        self.calls.append((function, args, kwargs or {}, results))
        return results

    def replay(self) -> None:
        """Call all operations again, on the same memory."""
        for function, args, kwargs, results in self.calls:
            if is_view(function):
                continue
            again = function(*args, **kwargs)
            for old, new in zip(tree_leaves(results), tree_leaves(again), strict=True):
                if torch.is_tensor(old) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


def is_view(function: Any) -> bool:
    """Return whether the result of an operation is other memory's, unchanged."""
    kinds = [value.alias_info for value in function._schema.returns]
    return any(kind is not None and not kind.is_write for kind in kinds)


class Recordings:
    """Makes recordings of a run's steps on the CPU.

    Attributes:
        count: how many were made.
        replays: how many steps were replayed.
    """

    def __init__(self) -> None:
        self.count = self.replays = 0
        self.run: Run

    def __call__(self, step: Callable[[], Outcome]) -> tuple[Callable[[], None], Outcome]:
        network, velocity = self.run.network, self.run.optimizer.velocity
        changed = [*network.parameters(), *network.buffers(), *velocity.values()]
        before = [tensor.detach().clone() for tensor in changed]
        recorder = Recorder()
        with recorder:
            outcome = step()
        # A recording does not execute what it records.
        with torch.no_grad():
            for tensor, value in zip(changed, before, strict=True):
                tensor.copy_(value)
        self.count += 1

        def replay() -> None:
            self.replays += 1
            with torch.no_grad():
                recorder.replay()

        return replay, outcome


@contextlib.contextmanager
def replaying() -> Iterator[list[Recordings]]:
    """Let runs that begin within replay their steps; give the recordings of two of them."""
    recordings = [Recordings(), Recordings()]
    unused = iter(recordings)

    def replayed(*arguments: Any, record: None) -> Run:
        assert record is None
        own = next(unused)
        own.run = Run(*arguments, record=own)
        return own.run

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_module, "Run", replayed)
        yield recordings


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return examples.pictures(tmp_path_factory.mktemp("data"), 52, 20, side=8)


def spec(architecture: str = "residual", **changes: Any) -> RunSpec:
    """Return a run of four steps an epoch, the last one smaller, with another rate from epoch 4."""
    return examples.run_spec(architecture, **{"batch_size": 16, "epochs": 6, **changes})


def trained(run: RunSpec, data: Dataset, folder: Path) -> RunFiles:
    return examples.trained(run, data, folder, "cpu")


@pytest.mark.parametrize("precision", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("architecture", registry.ARCHITECTURES)
def test_replayed_steps_give_the_same_bits(
    architecture: str, precision: str, data: Dataset, tmp_path: Path
) -> None:
    run = spec(architecture, precision=precision)
    usual = trained(run, data, tmp_path / "usual")
    with replaying() as (recordings, _):
        replayed = trained(run, data, tmp_path / "replayed")
    assert examples.result(replayed) == examples.result(usual)
    # Large mini-batches with two rates; small ones are warm only when the rate is the second one.
    assert recordings.count == 3
    assert recordings.replays == 6 * 4 - 2 * WARM_UP


@pytest.mark.parametrize(
    "changes",
    [
        {"momentum": 0.0},
        {"penalty_on_transferred": False},
        {"penalty_on_biases": True},
        {"batch_size": 13},
        {"batch_size": 52, "milestones": ()},
        {"crop_padding": 0, "horizontal_flip": False},
    ],
)
def test_replayed_steps_give_the_same_bits_with_other_recipes(
    changes: dict[str, Any], data: Dataset, tmp_path: Path
) -> None:
    usual = trained(spec(**changes), data, tmp_path / "usual")
    with replaying() as (recordings, _):
        replayed = trained(spec(**changes), data, tmp_path / "replayed")
    assert examples.result(replayed) == examples.result(usual)
    assert recordings.replays > 0


@pytest.mark.parametrize("stop", [1, 3, 4])
@pytest.mark.parametrize("modes", [(True, True), (True, False), (False, True)])
def test_a_killed_run_continues_to_the_same_bits_replayed_or_not(
    stop: int, modes: tuple[bool, bool], data: Dataset, tmp_path: Path
) -> None:
    usual = trained(spec("full-residual"), data, tmp_path / "usual")
    save = checkpoint.save

    def save_and_die(path: Path, states: list[checkpoint.State], *arguments: Any) -> None:
        save(path, states, *arguments)
        if states[0].epoch == stop:
            raise Killed

    for dies, replays in zip((True, False), modes, strict=True):
        with contextlib.ExitStack() as stack:
            patch = stack.enter_context(pytest.MonkeyPatch.context())
            if replays:
                stack.enter_context(replaying())
            if dies:
                patch.setattr(checkpoint, "save", save_and_die)
                stack.enter_context(pytest.raises(Killed))
            files = trained(spec("full-residual"), data, tmp_path / "killed")
    assert examples.record(files)["sessions"][1]["first_epoch"] == stop + 1
    assert examples.result(files) == examples.result(usual)


class Killed(BaseException):
    """Ends a run as a signal would: nothing in the program catches it."""


def test_replayed_twins_drift_as_usual_ones(data: Dataset, tmp_path: Path) -> None:
    def drift(folder: Path) -> str:
        twin = spec(precision="float64", epochs=4)
        recorder = DriftRecorder(folder / "drift.csv", every_step_epochs=3, mask_pictures=4)
        files = [RunFiles.in_folder(folder / name) for name in ("residual", "plain")]
        loop.train(
            [twin, plain_twin(twin)],
            *(data, files),
            **{"device": "cpu", "threads": 1, "code": "code", "observers": [recorder]},
        )
        return recorder.file.read_text()

    usual = drift(tmp_path / "usual")
    with replaying() as recordings:
        assert drift(tmp_path / "replayed") == usual
        assert [each.count > 0 for each in recordings] == [True, True]


def test_a_diverging_run_is_found_at_the_same_step(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "learning_rate", lambda _, epoch: 1e30 if epoch == 3 else 0.05)
    usual = trained(spec(), data, tmp_path / "usual")
    with replaying():
        replayed = trained(spec(), data, tmp_path / "replayed")
    assert examples.record(usual)["diverged_at"]["epoch"] == 3
    assert examples.record(replayed)["diverged_at"] == examples.record(usual)["diverged_at"]
    assert examples.result(replayed) == examples.result(usual)


def test_a_step_that_waits_ends_the_run_with_an_error(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gradients = TorchBackend.loss_and_gradients

    def waiting(self: TorchBackend, inputs: Tensor, labels: Tensor) -> Outcome:
        loss, wrong = gradients(self, inputs, labels)
        assert float(loss) > 0
        return loss, wrong

    monkeypatch.setattr(TorchBackend, "loss_and_gradients", waiting)
    with replaying(), pytest.raises(ResnoiseError, match=r"cuda_graph: true given, but .* false"):
        trained(spec(), data, tmp_path)
    assert not (tmp_path / "run.json").exists()


def test_a_graph_is_recorded_on_a_graphics_card_only(data: Dataset, tmp_path: Path) -> None:
    files = examples.trained(spec(epochs=1), data, tmp_path, "cpu", cuda_graph=True)
    assert examples.record(files)["status"] == "done"


def test_the_same_step_is_recorded_again_only_for_another_size_or_rate() -> None:
    made: list[int] = []
    read: dict[int, set[int]] = {}

    def update(inputs: Tensor, labels: Tensor) -> Outcome:
        read.setdefault(len(labels), set()).add(labels.data_ptr())
        return inputs.sum(), labels.sum()

    def record(step: Callable[[], Outcome]) -> tuple[Callable[[], None], Outcome]:
        made.append(1)
        outcome = tuple(tensor.clone() for tensor in step())

        def replay() -> None:
            for old, new in zip(outcome, step(), strict=True):
                old.copy_(new)

        return replay, outcome

    update.optimizer = SimpleNamespace(rate=0.1)
    replayed = ReplayedUpdate(update, record)
    counts = []
    for size, rate in [(4, 0.1)] * 5 + [(3, 0.1)] * 4 + [(4, 0.1), (4, 0.2), (3, 0.2), (4, 0.2)]:
        update.optimizer.rate = rate
        inputs, labels = torch.rand(size, 2), torch.arange(size)
        loss, wrong = replayed(inputs, labels)
        assert (loss, wrong) == (inputs.sum(), labels.sum())
        counts.append(len(made))
    assert counts == [0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 3, 4, 4]
    # Always from the same memory, since the first step.
    assert {size: len(places) for size, places in read.items()} == {3: 1, 4: 1}
