"""Noise stability of any network, layer by layer as ``resnoise.metrics.calls`` finds them.

The quantities are those of ``resnoise.metrics.noise_stability``, where z_j is the output of layer
j with its bias, before any normalisation, activation or shortcut that follows, and at the last
layer the logits. Noise on an input reaches the layer alone, and not the shortcuts around it; what
reaches z_j by other ways than through z_i is held constant in its smoothness. The activation
contraction of a layer is that of the first activation function after it. No identity connection
runs across a single layer, so T(W) is W.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.autograd.forward_ad as forward
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from resnoise.metrics.call_graph import behind, cut_layers
from resnoise.metrics.calls import Call, Calls, unfused
from resnoise.metrics.layers import norms, ratio
from resnoise.metrics.noise import (
    Responses,
    Sums,
    gaussian_weights,
    kaiming_norm,
    sample_noise,
    scaled_to,
)
from resnoise.specs.metrics import NoiseStabilitySpec

# Modules call these functions as well.
ACTIVATIONS = {
    *(F.relu, F.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_, F.relu6),
    *(F.leaky_relu, F.elu, F.selu, F.celu, F.gelu, F.silu, F.mish, F.hardswish, F.hardtanh),
    *(F.tanh, torch.tanh, Tensor.tanh, F.softplus),
}
_MEASURED = ("equal_weight", "weight", "input")


class CallNoise(Sums):
    """The quantities of one network of any architecture."""

    def __init__(self, network: nn.Module, spec: NoiseStabilitySpec, example: Tensor) -> None:
        """Find the layers, and prepare the sums, with no pictures in them yet.

        Args:
            network: a network in evaluation mode.
            spec: sizes, repeats and seed of the noise.
            example: inputs of two pictures, [2, C, H, W].

        Raises:
            ResnoiseError: a network without layers, or one that does not return logits.
        """
        self.network = Calls(network, example)
        self.largest = None if self.network.independent else 1
        self._cuts = cut_layers(self.network, example[:1])
        super().__init__(spec, self.network.calls, self.network.calls)
        for name in ("noise", "noise_flips"):
            # The same arrays: noise relative to T(W) is noise relative to W.
            self.moments[f"transferred_weight_{name}"] = self.moments[f"weight_{name}"]

    @torch.no_grad()
    def add(self, inputs: Tensor, samples: NDArray[np.int64]) -> None:
        """Measure a batch.

        Args:
            inputs: [B, C, H, W].
            samples: [B], numbers of the pictures, which decide the noise.
        """
        responses, dead, logits = self._clean(inputs)
        clean = [*responses[:-1], logits]
        for call in self.network.calls:
            index = call.number - 1
            expected = self._by_picture(clean, index, len(inputs))
            x = self._input(call, inputs)
            for target in _MEASURED:
                draw = self._noisy_layer(call, target, inputs, x, len(clean), samples)
                self.add_noise(target, index, index, expected, dead[:, index:], draw)
            if call.number < len(clean):
                drawn = self._noisy_response(call, inputs, clean, samples)
                self.add_smoothness(index, expected[1:], dead[:, index + 1 :], drawn)

    def _clean(self, inputs: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        """Return all responses, which are dead [B, layers], and the logits, without noise."""
        responses: list[Tensor] = []
        sizes: list[Tensor] = []
        contractions = _Contractions(responses, len(inputs))

        def see(call: Call, x: Tensor, output: Tensor) -> None:
            sizes.append(norms(call.by_picture(x, len(inputs))))
            # What follows may overwrite it.
            responses.append(output.clone())

        with contractions:
            logits = self.network.run(inputs, after=see)
        dead = behind(torch.stack(sizes, 1) == 0, self._cuts)
        for number, values in contractions.found.items():
            known = values.masked_fill(dead[:, number - 1] & values.isfinite(), torch.nan)
            place = (number - 1,)
            self.moments["activation_contraction"].add(place, known.cpu().numpy()[:, None])
        return responses, dead, logits

    def _noisy(
        self, call: Call, inputs: Tensor, last: int, noise: Tensor, on_input: bool
    ) -> list[Tensor]:
        """Return the responses from a layer on, by picture, with noise on its input or output."""
        found: list[Tensor] = []
        pictures = len(inputs)

        def before(other: Call, x: Tensor) -> Tensor | None:
            return x + noise if on_input and other.number == call.number else None

        def after(other: Call, _x: Tensor, output: Tensor) -> Tensor | None:
            changed = None
            if other.number == call.number and not on_input:
                changed = output = output + noise
            if call.number <= other.number < last:
                found.append(other.by_picture(output.clone(), pictures))
            return changed

        logits = self.network.run(inputs, before, after)
        return [*found, logits]

    def _noisy_layer(
        self,
        call: Call,
        target: str,
        inputs: Tensor,
        x: Tensor,
        last: int,
        samples: NDArray[np.int64],
    ) -> Callable[[int], Responses]:
        """Return ``draw`` of ``Sums.add_noise`` for noise on a layer, whose input is ``x``."""
        seed, pictures = self.spec.noise_seed, len(inputs)

        def draw(repeat: int) -> Responses:
            if target == "input":
                own = call.by_picture(x, pictures)
                purpose = f"input noise/{call.number}"
                drawn = sample_noise(own, seed, purpose, repeat, samples)
                noise = call.as_called(scaled_to(drawn, own), x)
            else:
                equal = target == "equal_weight"
                norm = kaiming_norm(call.weight) if equal else call.weight_norm()
                weight = call.weight.detach()
                # The layer is linear in its weights.
                noise = call.linear(x, gaussian_weights(weight, norm, seed, call.number, repeat))
            return lambda size: self._noisy(call, inputs, last, size * noise, target == "input")

        return draw

    def _noisy_response(
        self, call: Call, inputs: Tensor, clean: list[Tensor], samples: NDArray[np.int64]
    ) -> Callable[[int], tuple[list[Tensor], Responses]]:
        """Return ``draw`` of ``Sums.add_smoothness`` for noise on the response of a layer."""
        response, last = clean[call.number - 1], len(clean)
        z = call.by_picture(response, len(inputs))

        def draw(repeat: int) -> tuple[list[Tensor], Responses]:
            purpose = f"response noise/{call.number}"
            drawn = sample_noise(z, self.spec.noise_seed, purpose, repeat, samples)
            noise = call.as_called(scaled_to(drawn, z), response)

            def respond(size: float) -> list[Tensor]:
                return self._noisy(call, inputs, last, size * noise, on_input=False)[1:]

            return self._tangents(call, inputs, last, noise), respond

        return draw

    def _tangents(self, call: Call, inputs: Tensor, last: int, noise: Tensor) -> list[Tensor]:
        """Return J eta at all responses after a layer's, by picture, for eta on its response."""
        found: list[Tensor] = []

        def tangent(dual: Tensor) -> Tensor:
            value, change = forward.unpack_dual(dual)  # type: ignore[no-untyped-call]
            # Nothing of the noise comes by.
            return torch.zeros_like(value) if change is None else change.clone()

        def after(other: Call, _x: Tensor, output: Tensor) -> Any:
            if other.number == call.number:
                return forward.make_dual(output.clone(), noise)  # type: ignore[no-untyped-call]
            if call.number < other.number < last:
                found.append(other.by_picture(tangent(output), len(inputs)))
            return None

        with unfused(), forward.dual_level():
            found.append(tangent(self.network.run(inputs, after=after)))
        return found

    def _by_picture(self, clean: list[Tensor], index: int, pictures: int) -> list[Tensor]:
        """Return the responses from a position on, [B, ...] each; the last are the logits."""
        calls = self.network.calls[index:-1]
        return [
            *(c.by_picture(z, pictures) for c, z in zip(calls, clean[index:-1], strict=True)),
            clean[-1],
        ]

    def _input(self, call: Call, inputs: Tensor) -> Tensor:
        """Return the input of a layer."""
        kept: list[Tensor] = []

        def before(other: Call, x: Tensor) -> None:
            if other.number == call.number:
                kept.append(x.clone())

        self.network.run(inputs, before=before)
        return kept[0]

    def picture_bytes(self, one: Tensor) -> float:
        """Return the bytes that measuring one picture [1, C, H, W] takes: several copies of all."""
        with torch.no_grad():
            return 3.0 * self.network.picture_bytes(one)


class _Contractions(TorchFunctionMode):
    """Measures activation functions while a network runs.

    Attributes:
        found: number of a layer -> ``||x|| / ||activation(x)||`` of the first activation after it,
            float64 [B].
    """

    def __init__(self, responses: list[Tensor], pictures: int) -> None:
        """Take the list that grows with each layer, which tells their number."""
        super().__init__()
        self.responses, self.pictures = responses, pictures
        self.found: dict[int, Tensor] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        number = len(self.responses)
        if func not in ACTIVATIONS or number in self.found or not number:
            return func(*args, **(kwargs or {}))
        x = args[0]
        size = norms(self._by_picture(x))
        output = func(*args, **(kwargs or {}))
        after = norms(self._by_picture(output))
        self.found[number] = ratio(size, after, size == 0)
        return output

    def _by_picture(self, x: Tensor) -> Tensor:
        return x if len(x) == self.pictures else x.reshape(self.pictures, -1)
