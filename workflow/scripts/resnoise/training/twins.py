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
    """

    epoch: int
    step: int
    risk_residual: float
    risk_plain: float
    risk_difference: float
    weight_difference: float
    mask_layer: int
    mask_differences: int


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
        counts = mask_differences(networks, before, residual.inputs[: self.mask_pictures])
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
        )


@torch.no_grad()
def weight_difference(residual: nn.Module, plain: nn.Module) -> float:
    """Return max |T(r) - p| over all parameters of a residual and a plain network."""
    transferred = to_plain(dict(residual.named_parameters()))
    weights = dict(plain.named_parameters())
    return max(float((transferred[name] - weights[name]).abs().max()) for name in weights)


@torch.no_grad()
def mask_differences(
    networks: Sequence[nn.Module], weights: Sequence[Sequence[Tensor]], inputs: Tensor
) -> list[int]:
    """Return for each convolution how many outputs are positive in just one of two networks.

    Args:
        networks: two simplified networks of the same depth; their own weights stay unchanged.
        weights: parameters of each network, used instead of its own.
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
