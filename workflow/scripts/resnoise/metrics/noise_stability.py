"""Noise stability (section 5; Arora et al. 2018): what noise in one layer does to all later ones.

Layers are numbered from 1; ``z_j`` is the response of layer j, to which its ReLU is applied.
Fully-fledged networks have responses of the first layer, of the blocks and of the linear layer
only; networks of any other architecture have those of all layers (``resnoise.metrics.call_noise``).
Four kinds of quantity, for each picture:

- noise: the relative change ``||z_j' - z_j|| / ||z_j||`` when Gaussian noise is put on layer i's
  weights or on its input. At the last layer, z_j are the logits. The norm of the noise is s times

  - ``equal_weight_noise``: the norm that Kaiming's initialisation gives weights of this shape on
    average, ``sqrt(2 C_out)``: the same amount of noise for all networks;
  - ``transferred_weight_noise``: ``||T(W)||_F``, with the ones of the ID entries;
  - ``weight_noise``: ``||W||_F``, the ones of the ID entries left out, as in layer cushions;
  - ``input_noise``: ``||x||``.
- flips (``weight_noise_flips``, ...): 1 where the predicted class changes.
- ``inverse_smoothness``: with noise eta of size ``s ||z_i||`` on z_i, M the map from z_i to z_j and
  J its Jacobian, ``||M(z_i + eta) - M(z_i) - J eta|| ||z_i|| / (||eta|| ||z_j||)``. Interlayer
  smoothness rho (definition 6 there, for networks without biases, where M(z_i) = J z_i) is the
  reciprocal of its largest value; from one layer to the next it is the smoothness of that layer.
- ``activation_contraction``: ``||z_i|| / ||relu(z_i)||``; its largest value is c (definition 5).

A response is dead on a picture if nothing of the picture reaches it: a network whose output does
not depend on its input would seem to be insensitive to all noise. A response has exploded if its
numbers overflow, with or without noise (``resnoise.metrics.states``).
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from resnoise.devices import Computing
from resnoise.metrics.call_noise import CallNoise
from resnoise.metrics.layers import (
    Layer,
    Stage,
    is_own,
    layers,
    norms,
    ratio,
    responses_from,
    stages,
)
from resnoise.metrics.noise import (
    COLUMNS,
    TARGETS,
    Responses,
    Sums,
    gaussian_weights,
    kaiming_norm,
    sample_noise,
    scaled_to,
)
from resnoise.metrics.resumable import Measurement, activation_bytes
from resnoise.specs.metrics import NoiseStabilitySpec
from resnoise.storage import csvfile
from resnoise.storage.files import remove
from resnoise.trained.run import Measurable

# What noise is put on, and what its norm is relative to -> that norm, for a layer's weights.
_WEIGHT_NORMS: dict[str, Callable[[Layer], float]] = {
    "equal_weight": lambda layer: kaiming_norm(layer.module.weight),
    "transferred_weight": Layer.transferred_norm,
    "weight": Layer.weight_norm,
}
# Copies of all activations that are held at once: without noise, with noise, tangents, and some
# that the network itself needs.
_COPIES = 6.0


class NoiseStability(Sums):
    """The quantities of one network that is built as the project's own are.

    Attributes:
        stages: the network's stages.
    """

    def __init__(self, network: nn.Module, spec: NoiseStabilitySpec) -> None:
        """Prepare the sums, with no pictures in them yet.

        Args:
            network: a network in evaluation mode.
            spec: sizes, repeats and seed of the noise.
        """
        self.network = network
        self.stages = stages(network)
        super().__init__(spec, layers(network), [stage.layers[-1] for stage in self.stages])

    def picture_bytes(self, one: Tensor) -> float:
        """Return the bytes that measuring one picture [1, C, H, W] takes."""
        return _COPIES * activation_bytes(self.network, one)

    @torch.no_grad()
    def add(self, inputs: Tensor, samples: NDArray[np.int64]) -> None:
        """Measure a batch.

        Args:
            inputs: [B, C, H, W].
            samples: [B], numbers of the pictures. They decide the noise, so that results do not
                depend on how pictures are divided into batches.
        """
        first = self.stages[0]
        clean = responses_from(self.stages, 0, first.response(inputs))
        dead = lost([inputs, *map(torch.relu, clean[:-1])])
        for index, stage in enumerate(self.stages):
            x = torch.relu(clean[index - 1]) if index else inputs
            for layer in stage.layers:
                self._add_noise(layer, index, x, clean, dead, samples)
            if index + 1 < len(self.stages):
                z = clean[index]
                contraction = ratio(norms(z), norms(torch.relu(z)), dead[:, index])
                self.moments["activation_contraction"].add(
                    (index,), contraction.cpu().numpy()[:, None]
                )
                self._add_smoothness(index, clean, dead, samples)

    def _add_noise(
        self,
        layer: Layer,
        index: int,
        x: Tensor,
        clean: list[Tensor],
        dead: Tensor,
        samples: NDArray[np.int64],
    ) -> None:
        """Measure noise on weights and input of one layer, whose stage has the input ``x``.

        ``dead`` [B, stages] says on which pictures which responses are dead.
        """
        stage = self.stages[index]
        for target in TARGETS:

            def draw(repeat: int, target: str = target) -> Responses:
                respond = _noisy_response(target, layer, stage, self.spec, repeat, samples)
                return lambda size: responses_from(self.stages, index, respond(x, size))

            self.add_noise(target, layer.number - 1, index, clean[index:], dead[:, index:], draw)

    def _add_smoothness(
        self, index: int, clean: list[Tensor], dead: Tensor, samples: NDArray[np.int64]
    ) -> None:
        """Measure how far the map from one stage's response to later ones is from linear.

        ``dead`` [B, stages] says on which pictures which responses are dead.
        """
        z = clean[index]
        purpose = f"response noise/{self.stages[index].number}"

        def draw(repeat: int) -> tuple[Sequence[Tensor], Responses]:
            noise = scaled_to(sample_noise(z, self.spec.noise_seed, purpose, repeat, samples), z)
            with _LinearByConvolution():
                tangents = torch.func.jvp(
                    lambda start: tuple(responses_from(self.stages, index, start)), (z,), (noise,)
                )[1]

            def respond(size: float) -> list[Tensor]:
                return responses_from(self.stages, index, z + size * noise)[1:]

            return tangents[1:], respond

        self.add_smoothness(index, clean[index + 1 :], dead[:, index + 1 :], draw)


class _LinearByConvolution(TorchFunctionMode):
    """Computes linear layers as convolutions of one pixel.

    Their derivatives in forward mode are PyTorch's own code; those of linear layers import its
    compiler, which takes two seconds, more than all else of a small measurement.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is not F.linear:
            return func(*args, **(kwargs or {}))
        x, weight, bias = args
        return F.conv2d(x[..., None, None], weight[..., None, None], bias)[..., 0, 0]


def lost(inputs: Sequence[Tensor]) -> Tensor:
    """Return which stages nothing of a picture reaches, bool [B, stages].

    Args:
        inputs: the input of each stage. If one is 0, the next ones depend on the biases only.
    """
    return torch.stack([norms(x) == 0 for x in inputs], 1).cumsum(1) > 0


def weight_noise(layer: Layer, seed: int, repeat: int, target: str = "weight") -> Tensor:
    """Return Gaussian noise for a layer's weights, scaled to a norm that ``target`` names.

    Args:
        layer: the layer; its weights are without the ones of ID entries.
        seed: seed of the noise.
        repeat: number of the draw.
        target: one of ``TARGETS`` that is about weights; see the module's text.
    """
    norm = _WEIGHT_NORMS[target](layer)
    return gaussian_weights(layer.module.weight, norm, seed, layer.number, repeat)


def _noisy_response(
    target: str,
    layer: Layer,
    stage: Stage,
    spec: NoiseStabilitySpec,
    repeat: int,
    samples: NDArray[np.int64],
) -> Callable[[Tensor, float], Tensor]:
    """Return a function of a stage's input and a noise size: the response with noisy ``layer``."""
    if target != "input":
        noise = weight_noise(layer, spec.noise_seed, repeat, target)
        return _weight_noise_response(layer, stage, noise)
    purpose = f"input noise/{layer.number}"
    drawn: list[Tensor] = []

    def add_noise(x: Tensor, size: float) -> Tensor:
        # Drawn once and used for all sizes.
        if not drawn:
            drawn.append(sample_noise(x, spec.noise_seed, purpose, repeat, samples))
        return x + size * scaled_to(drawn[0], x)

    return _input_noise_response(layer, stage, add_noise)


def _weight_noise_response(
    layer: Layer, stage: Stage, noise: Tensor
) -> Callable[[Tensor, float], Tensor]:
    """Return a function of a stage's input and a noise size: the response with noisy weights."""

    def respond(x: Tensor, size: float) -> Tensor:
        weight = layer.module.weight
        original = weight.clone()
        try:
            weight.add_(noise, alpha=size)
            return stage.response(x)
        finally:
            weight.copy_(original)

    return respond


def _input_noise_response(
    layer: Layer, stage: Stage, add_noise: Callable[[Tensor, float], Tensor]
) -> Callable[[Tensor, float], Tensor]:
    """Return a function of a stage's input and a noise size: the response with noisy input."""

    def respond(x: Tensor, size: float) -> Tensor:
        if layer.takes_stage_input:
            # The noise is added to the activation, so that shortcuts carry it too.
            return stage.response(add_noise(x, size))
        with layer.module.register_forward_pre_hook(
            lambda _module, arguments: (add_noise(arguments[0], size),)
        ):
            return stage.response(x)

    return respond


def choose(
    network: nn.Module, spec: NoiseStabilitySpec, example: Tensor
) -> "NoiseStability | CallNoise":
    """Return the sums of a network of any architecture.

    Args:
        network: in evaluation mode.
        spec: sizes, repeats and seed of the noise.
        example: inputs of two pictures, [2, C, H, W].

    Raises:
        ResnoiseError: a network without layers, or one that does not return logits.
    """
    if is_own(network):
        return NoiseStability(network, spec)
    return CallNoise(network, spec, example)


def measure_run(
    run: Measurable,
    spec: NoiseStabilitySpec,
    outputs: Sequence[Path],
    computing: Computing,
) -> None:
    """Write the noise stability of a run on chosen training pictures, without augmentation.

    Columns: snapshot ("final", or every kept one), then those of ``NoiseStability.rows``. The
    final weights of a diverged run have no rows. A killed measurement continues where it was.

    Args:
        run: the run, or a network trained elsewhere.
        spec: which pictures, snapshots and noise.
        outputs: the CSV file to write.
        computing: where to compute.

    Raises:
        ResnoiseError: more pictures are wanted than the training set has.
    """
    (output,) = outputs
    measured = Measurement(run, spec, output, computing)
    example = measured.example()
    found = {label: choose(network, spec, example) for label, network in measured.networks.items()}
    state = {
        f"{label}/{quantity}/{name}": array
        for label, stability in found.items()
        for quantity, moments in stability.moments.items()
        for name, array in moments.arrays.items()
    }

    def picture_bytes(label: str, one: Tensor) -> float:
        return found[label].picture_bytes(one)

    # What is measured picture by picture is so with all weights.
    largest = min((s.largest for s in found.values() if s.largest), default=None)
    for part, inputs in measured.batches(state, picture_bytes, largest):
        for stability in found.values():
            stability.add(inputs, measured.samples[part])
    rows = [
        {"snapshot": label, **row} for label, stability in found.items() for row in stability.rows()
    ]
    csvfile.write(output, pd.DataFrame(rows, columns=list(COLUMNS)), float_format="%.7g")
    remove(measured.checkpoint)
