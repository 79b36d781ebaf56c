"""Checkpoints: the state after an epoch, from which a killed training continues bit for bit.

Weights, momentum, snapshots and history are the whole state of a run, because random numbers depend
on (seed, epoch) only. The file lies beside the run's outputs but is not declared as one, because a
workflow engine deletes the outputs of a failed job.
"""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from resnoise.errors import ResnoiseError
from resnoise.storage import tensorfile
from resnoise.training.descent import Descent
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
        sessions: one record for each process that worked on the run, the latest last.
    """

    epoch: int
    weights: Weights
    momentum: Weights
    snapshots: dict[str, Weights]
    history: list[Row]
    sessions: list[dict[str, Any]]


def copy_weights(network: nn.Module) -> Weights:
    """Return copies of all parameters and buffers by name, as arrays on the CPU."""
    return _copies(network.state_dict())


def _copies(tensors: Mapping[str, Tensor]) -> Weights:
    """Return copies of tensors by name, as arrays on the CPU.

    Those of a type are brought there together, because each transfer waits for the card.
    """
    found = {}
    for dtype in {tensor.dtype for tensor in tensors.values()}:
        chosen = {name: tensor for name, tensor in tensors.items() if tensor.dtype == dtype}
        together = torch.cat([tensor.detach().flatten() for tensor in chosen.values()]).cpu()
        parts = torch.split(together, [tensor.numel() for tensor in chosen.values()])
        for (name, tensor), part in zip(chosen.items(), parts, strict=True):
            found[name] = part.view(tensor.shape).numpy()
    return {name: found[name] for name in tensors}


def set_weights(network: nn.Module, weights: Weights) -> None:
    """Set all parameters and buffers of ``network``; names and shapes must match."""
    network.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})


def copy_momentum(network: nn.Module, optimizer: Descent) -> Weights:
    """Return copies of the momentum of every parameter, by name, as arrays on the CPU."""
    return _copies(
        {
            name: optimizer.velocity[parameter]
            for name, parameter in network.named_parameters()
            if parameter in optimizer.velocity
        }
    )


def set_momentum(network: nn.Module, optimizer: Descent, momentum: Weights) -> None:
    """Set the momentum that ``copy_momentum`` returned, laid out in memory as the parameters."""
    for name, parameter in network.named_parameters():
        if name in momentum:
            buffer = torch.empty_like(parameter, memory_format=torch.preserve_format)
            buffer.detach_().copy_(torch.from_numpy(momentum[name]))
            optimizer.velocity[parameter] = buffer


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


def save(
    path: Path,
    states: Sequence[State],
    identities: Sequence[dict[str, str]],
    observers: Sequence[dict[str, Any]],
) -> None:
    """Write the states of runs that are trained in step to one file, atomically.

    Args:
        path: where to write.
        states: state of each run.
        identities: of each run, what its state depends on: specification, data, code and more.
        observers: state of each observer of the training, JSON-like.
    """
    arrays: Weights = {}
    runs = []
    for number, (state, identity) in enumerate(zip(states, identities, strict=True)):
        groups, facts = _pack(state)
        arrays |= {f"{number}/{key}": array for key, array in flatten(groups).items()}
        runs.append({"identity": identity, **facts})
    tensorfile.save(path, arrays, {"runs": runs, "observers": observers})


def _pack(state: State) -> tuple[dict[str, Weights], dict[str, Any]]:
    """Return the arrays of a state, in groups by name, and its other values."""
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


def load(
    path: Path, identities: Sequence[dict[str, str]]
) -> tuple[list[State] | list[None], list[dict[str, Any]]]:
    """Return the saved states of runs and of observers; None for each run if there are none to use.

    A damaged checkpoint, or one with other identities, is never used; a warning says so.
    """
    nothing: list[None] = [None] * len(identities)
    if not path.exists():
        return nothing, []
    try:
        arrays, metadata, _ = tensorfile.load(path)
    except ResnoiseError as error:
        _log.warning("checkpoint refused, starting over: %s", error)
        return nothing, []
    runs = metadata.get("runs", [])
    different = [
        key
        for key in identities[0]
        if [run["identity"].get(key) for run in runs] != [own[key] for own in identities]
    ]
    if different:
        _log.warning(
            "checkpoint %s refused, starting over: it belongs to another run (different %s)",
            *(path, " and ".join(different)),
        )
        return nothing, []
    groups = unflatten(arrays)
    states = [_unpack(f"{number}/", groups, facts) for number, facts in enumerate(runs)]
    return states, metadata["observers"]


def _unpack(prefix: str, groups: dict[str, Weights], facts: dict[str, Any]) -> State:
    """Undo ``_pack`` for the run whose groups begin with ``prefix``."""
    snapshots = f"{prefix}snapshots/"
    return State(
        epoch=facts["epoch"],
        weights=groups[f"{prefix}weights"],
        momentum=groups.get(f"{prefix}momentum", {}),
        snapshots={
            k.removeprefix(snapshots): v for k, v in groups.items() if k.startswith(snapshots)
        },
        history=[Row(**row) for row in facts["history"]],
        sessions=facts["sessions"],
    )
