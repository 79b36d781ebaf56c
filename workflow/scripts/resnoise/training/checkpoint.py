"""Checkpoints: the whole state of a run after an epoch, so that a killed run continues bit for bit.

Weights, momentum, kept snapshots and history are the whole state: random numbers depend on
(seed, epoch) only. The file lies beside the run's outputs and is no output itself, because a
workflow engine deletes the outputs of a failed job.
"""

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from resnoise.errors import ResnoiseError
from resnoise.storage import tensorfile
from resnoise.training.history import Row

_log = logging.getLogger(__name__)

Weights = dict[str, np.ndarray]


@dataclasses.dataclass
class State:
    """State of a run between two epochs.

    Attributes:
        epoch: epochs done.
        weights: parameters and buffers of the network by name.
        momentum: momentum of every parameter by name, empty before the first step.
        snapshots: kept weights by label ("initial", "iteration1", "epoch10", ...).
        history: one row for each epoch done.
        sessions: one record for each process that worked on the run, the present one last.
    """

    epoch: int
    weights: Weights
    momentum: Weights
    snapshots: dict[str, Weights]
    history: list[Row]
    sessions: list[dict[str, Any]]


def copy_weights(network: nn.Module) -> Weights:
    """Return copies of all parameters and buffers as arrays on the CPU."""
    return {
        name: tensor.detach().to("cpu", copy=True).contiguous().numpy()
        for name, tensor in network.state_dict().items()
    }


def set_weights(network: nn.Module, weights: Weights) -> None:
    """Set all parameters and buffers of ``network``; names and shapes must fit."""
    network.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})


def flatten(groups: dict[str, Weights]) -> Weights:
    """Return {"group/name": array} of {"group": {"name": array}}."""
    return {f"{group}/{name}": a for group, arrays in groups.items() for name, a in arrays.items()}


def unflatten(arrays: Weights) -> dict[str, Weights]:
    """Undo ``flatten``."""
    groups: dict[str, Weights] = {}
    for key, array in arrays.items():
        group, _, name = key.rpartition("/")
        groups.setdefault(group, {})[name] = array
    return groups


def save(path: Path, states: Mapping[str, State], identity: dict[str, str]) -> None:
    """Write the states of the runs that are trained together, atomically, in one file.

    Args:
        path: where to.
        states: state of each run by a name of its own.
        identity: which runs they are.
    """
    arrays: Weights = {}
    runs = {}
    for name, state in states.items():
        groups, runs[name] = _pack(state)
        arrays |= {f"{name}/{key}": array for key, array in flatten(groups).items()}
    tensorfile.save(path, arrays, {"identity": identity, "runs": runs})


def _pack(state: State) -> tuple[dict[str, Weights], dict[str, Any]]:
    """Return the arrays of a state in groups, and everything else."""
    groups = {
        "weights": state.weights,
        "momentum": state.momentum,
        **{f"snapshots/{label}": weights for label, weights in state.snapshots.items()},
    }
    facts = {
        "epoch": state.epoch,
        "history": [dataclasses.asdict(row) for row in state.history],
        "sessions": state.sessions,
    }
    return groups, facts


def load(path: Path, identity: dict[str, str]) -> dict[str, State] | None:
    """Return the states to continue from by name, or None if there are none.

    A torn checkpoint, or one of another specification, data set or code, is never used: a message
    says so and the run starts anew.
    """
    if not path.exists():
        return None
    try:
        arrays, metadata, _ = tensorfile.load(path)
    except ResnoiseError as error:
        _log.warning("checkpoint refused, starting anew: %s", error)
        return None
    found = metadata.get("identity", {})
    different = [key for key in identity if found.get(key) != identity[key]]
    if different:
        _log.warning(
            "checkpoint %s refused, starting anew: it belongs to another run (different %s)",
            path,
            " and ".join(different),
        )
        return None
    groups = unflatten(arrays)
    return {name: _unpack(name, groups, facts) for name, facts in metadata["runs"].items()}


def _unpack(name: str, groups: dict[str, Weights], facts: dict[str, Any]) -> State:
    """Undo ``_pack`` for the run called ``name``."""
    prefix = f"{name}/snapshots/"
    return State(
        epoch=facts["epoch"],
        weights=groups[f"{name}/weights"],
        momentum=groups.get(f"{name}/momentum", {}),
        snapshots={k.removeprefix(prefix): v for k, v in groups.items() if k.startswith(prefix)},
        history=[Row(**row) for row in facts["history"]],
        sessions=facts["sessions"],
    )
