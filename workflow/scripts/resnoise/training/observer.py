"""Base class of what is called while runs are trained: progress, drift of twins."""

from collections.abc import Mapping, Sequence
from typing import Any

from resnoise.training.history import Row
from resnoise.training.run import Run, Step


class Observer:
    """Does nothing; an observer overrides the methods that it needs.

    ``runs``, ``steps`` and ``rows`` have an item for each of the runs that are trained in step.

    Attributes:
        settings: settings on which results of the observer depend, by name; a checkpoint of other
            settings is refused.
    """

    settings: Mapping[str, str] = {}

    def on_epoch_start(self, runs: Sequence[Run], epoch: int) -> None:
        """Called before the first step of ``epoch`` (from 1)."""

    def on_step_end(self, runs: Sequence[Run], steps: Sequence[Step]) -> None:
        """Called after each step."""

    def on_epoch_end(self, runs: Sequence[Run], rows: Sequence[Row]) -> None:
        """Called after each epoch, when its state has been saved, if it is its turn."""

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint must keep of the observer, JSON-like."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what ``state_dict`` returned."""

    def write(self) -> None:
        """Write the observer's results after the last epoch."""

    def check(self) -> None:
        """Raise ResnoiseError unless the observer's results exist and are undamaged."""
