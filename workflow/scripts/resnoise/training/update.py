"""One step of training: gradients, the weight term's part of them, descent.

On a graphics card the step can be recorded once as a CUDA graph and replayed. A step of these
networks is hundreds of short operations, and launching each takes longer than the operation itself.
A replay launches all at once, in the same order and on the same memory, and gives the same bits.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from resnoise.errors import ResnoiseError
from resnoise.training.backend import Backend
from resnoise.training.descent import Descent
from resnoise.training.objective import Penalty

# Mini-batches of each size that are trained on before the step for that size is recorded, as
# PyTorch's manual advises: libraries prepare themselves at the first calls, and a recording must
# not contain that.
WARM_UP = 3

# Loss and number of wrong predictions of a mini-batch.
Outcome: TypeAlias = tuple[Tensor, Tensor]
# Changes the weights once, given inputs and labels.
Step: TypeAlias = Callable[[Tensor, Tensor], Outcome]


class Update:
    """Trains a network on a mini-batch.

    Attributes:
        backend: computes loss and gradients.
        penalty: the weight term.
        optimizer: changes the weights.
    """

    def __init__(self, backend: Backend, penalty: Penalty, optimizer: Descent) -> None:
        self.backend = backend
        self.penalty = penalty
        self.optimizer = optimizer

    def __call__(self, inputs: Tensor, labels: Tensor) -> Outcome:
        """Change the weights once.

        Args:
            inputs: [B, C, H, W].
            labels: int64 [B].

        Returns:
            The mean cross-entropy before the change (scalar), and the number of wrong predictions
            (int64 scalar). The next call may overwrite both.
        """
        outcome = self.backend.loss_and_gradients(inputs, labels)
        self.penalty.add_identity_gradient()
        self.optimizer.step()
        return outcome


class Recording(NamedTuple):
    """A recorded step.

    Attributes:
        rate: the learning rate, which is part of the recording.
        replay: does the step.
        outcome: where it writes loss and number of wrong predictions.
    """

    rate: float
    replay: Callable[[], None]
    outcome: Outcome


# Takes a step, records its operations without executing them, and returns what replays them, and
# the tensors that the replay writes the step's outcome to.
Record: TypeAlias = Callable[[Callable[[], Outcome]], tuple[Callable[[], None], Outcome]]


class ReplayedUpdate:
    """Does what an ``Update`` does, by replaying recordings of it: one for each size of batch."""

    def __init__(self, update: Update, record: Record) -> None:
        """Wrap ``update``; ``record`` is ``cuda_graph``, but for tests."""
        self._update = update
        self._record = record
        # Of each size of batch: where recordings read it, how many there were, the recording.
        self._places: dict[int, tuple[Tensor, Tensor]] = {}
        self._seen: dict[int, int] = {}
        self._recordings: dict[int, Recording] = {}

    def __call__(self, inputs: Tensor, labels: Tensor) -> Outcome:
        """Change the weights once; see ``Update``.

        Raises:
            ResnoiseError: the step cannot be recorded.
        """
        size, rate = len(labels), self._update.optimizer.rate
        seen = self._seen[size] = self._seen.get(size, 0) + 1
        if seen == 1:
            self._places[size] = inputs.clone(), labels.clone()
        place = self._places[size]
        for own, given in zip(place, (inputs, labels), strict=True):
            own.copy_(given)
        if seen <= WARM_UP:
            # In the memory of the recording, because kernels are chosen by its alignment too.
            return self._update(*place)
        recording = self._recordings.get(size)
        if recording is None or recording.rate != rate:
            recording = self._recordings[size] = self._recorded(place, rate)
        recording.replay()
        return recording.outcome

    def _recorded(self, place: tuple[Tensor, Tensor], rate: float) -> Recording:
        """Record the step for mini-batches as large as the one in ``place``."""
        try:
            replay, outcome = self._record(lambda: self._update(*place))
        except RuntimeError as error:
            raise ResnoiseError(
                "cuda_graph: true given, but PyTorch cannot record a step of this network; use "
                f"false ({error})"
            ) from error
        return Recording(rate, replay, outcome)


def cuda_graph(step: Callable[[], Outcome]) -> tuple[Callable[[], None], Outcome]:
    """Record ``step`` on the current CUDA device; see ``Record``.

    Raises:
        RuntimeError: the step waits for the device, or does something else that a graph cannot.
    """
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outcome = step()
    return graph.replay, outcome
