"""Twin training (section 4.1): a residual network and its equivalent plain one, step by step.

The plain network starts from T(r0), and both see the same augmented mini-batches. In exact
arithmetic they would stay equal for ever; their drift, which is recorded, comes from rounding
errors.
"""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from resnoise.networks.simplified import SimplifiedNet
from resnoise.networks.transfer import to_plain
from resnoise.storage.digests import check_csv, write_rows
from resnoise.training.history import Row
from resnoise.training.observer import Observer
from resnoise.training.run import Run, Step

_log = logging.getLogger(__name__)


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
        second_output_difference: largest difference of an output of the second convolution, after
            its ReLU, before the update.
    """

    epoch: int
    step: int
    risk_residual: float
    risk_plain: float
    risk_difference: float
    weight_difference: float
    mask_layer: int
    mask_differences: int
    second_output_difference: float


class DriftRecorder(Observer):
    """Records the drift of a residual network and its plain twin, which are trained in step."""

    def __init__(self, file: Path, *, every_step_epochs: int, mask_pictures: int) -> None:
        """Prepare a recorder without rows.

        Args:
            file: CSV with a row for each ``Drift``.
            every_step_epochs: epochs in which the drift is recorded at every step; after them, it
                is recorded at the last step of each epoch.
            mask_pictures: pictures of a mini-batch on which ReLU masks are compared.
        """
        self.file = file
        self.settings = {"drift": f"{every_step_epochs} {mask_pictures}"}
        self.every_step_epochs = every_step_epochs
        self.mask_pictures = mask_pictures
        self.rows: list[Drift] = []
        # Parameters of both networks before the present step, None unless it is to be recorded.
        self._before: list[list[Tensor]] | None = None

    def on_epoch_start(self, runs: Sequence[Run], epoch: int) -> None:
        """Keep the weights before the first step, if it is to be recorded."""
        self._keep_weights(runs, epoch, 1)

    def on_step_end(self, runs: Sequence[Run], steps: Sequence[Step]) -> None:
        """Record the drift, if it is due, and keep the weights for the next step."""
        residual, plain = steps
        if self._before is not None:
            self.rows.append(self._drift(runs, residual, plain, self._before))
        self._keep_weights(runs, residual.epoch, residual.number + 1)

    def on_epoch_end(self, runs: Sequence[Run], rows: Sequence[Row]) -> None:
        """Log the last drift of the epoch."""
        last = self.rows[-1]
        _log.info(
            "drift after step %d: risk %.3g, weights %.3g, ReLU masks %d",
            *(last.step, last.risk_difference, last.weight_difference, last.mask_differences),
        )

    def state_dict(self) -> dict[str, Any]:
        """See ``Observer``."""
        return {"rows": [dataclasses.asdict(row) for row in self.rows]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See ``Observer``."""
        self.rows = [Drift(**row) for row in state["rows"]]

    def write(self) -> None:
        """See ``Observer``."""
        write_rows(self.file, Drift, self.rows)

    def check(self) -> None:
        """See ``Observer``."""
        check_csv(self.file)

    def _keep_weights(self, runs: Sequence[Run], epoch: int, number: int) -> None:
        """Keep copies of both networks' weights before step ``number``, if it is recorded."""
        due = epoch <= self.every_step_epochs or number == len(runs[0].batches)
        copies = [[p.detach().clone() for p in run.network.parameters()] for run in runs if due]
        self._before = copies or None

    def _drift(
        self, runs: Sequence[Run], residual: Step, plain: Step, before: list[list[Tensor]]
    ) -> Drift:
        """Return how far the twins are apart after a step that started with weights ``before``."""
        networks = [run.network for run in runs]
        outputs = [
            layer_outputs(network, weights, residual.inputs[: self.mask_pictures])
            for network, weights in zip(networks, before, strict=True)
        ]
        counts = mask_differences(*outputs)
        layers = [layer for layer, count in enumerate(counts, start=1) if count]
        risk_residual, risk_plain = float(residual.loss), float(plain.loss)
        return Drift(
            epoch=residual.epoch,
            step=(residual.epoch - 1) * len(runs[0].batches) + residual.number,
            risk_residual=risk_residual,
            risk_plain=risk_plain,
            risk_difference=abs(risk_residual - risk_plain),
            weight_difference=weight_difference(*networks),
            mask_layer=layers[0] if layers else 0,
            mask_differences=sum(counts),
            second_output_difference=float((outputs[0][1] - outputs[1][1]).abs().max()),
        )


@torch.no_grad()
def weight_difference(residual: nn.Module, plain: nn.Module) -> float:
    """Return max |T(r) - p| over all parameters of a residual and a plain network."""
    transferred = to_plain(dict(residual.named_parameters()))
    weights = dict(plain.named_parameters())
    return max(float((transferred[name] - weights[name]).abs().max()) for name in weights)


@torch.no_grad()
def layer_outputs(network: nn.Module, weights: Sequence[Tensor], inputs: Tensor) -> list[Tensor]:
    """Return what a network's convolutions give, [B, C, H, W] each.

    All but the first are after their ReLU.

    Args:
        network: a simplified network; its own weights stay unchanged.
        weights: parameters to use instead of its own.
        inputs: [B, C, H, W].
    """
    assert isinstance(network, SimplifiedNet)
    names = [name for name, _ in network.named_parameters()]
    found: list[Tensor] = []
    layers = [network.conv1, *network.blocks()]
    hooks = [
        # A copy, because the ReLU after the first convolution overwrites its output.
        layer.register_forward_hook(lambda _module, _inputs, y: found.append(y.clone()))
        for layer in layers
    ]
    try:
        torch.func.functional_call(network, dict(zip(names, weights, strict=True)), (inputs,))
    finally:
        for hook in hooks:
            hook.remove()
    return found


def mask_differences(first: Sequence[Tensor], second: Sequence[Tensor]) -> list[int]:
    """Return for each convolution how many of its outputs are positive in just one of two networks.

    Args:
        first: outputs from ``layer_outputs`` of a network.
        second: those of another one of the same depth, for the same pictures.
    """
    return [int(((one > 0) != (two > 0)).sum()) for one, two in zip(first, second, strict=True)]
