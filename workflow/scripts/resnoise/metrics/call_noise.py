"""Noise stability of any network, layer by layer as ``resnoise.metrics.calls`` finds them.

The quantities are those of ``resnoise.metrics.noise_stability``, where z_j is the output of layer
j with its bias, before any normalisation, activation or shortcut that follows, and at the last
layer the logits. Noise on an input reaches the layer alone, and not the shortcuts around it; what
reaches z_j by other ways than through z_i is held constant in its smoothness. The activation
contraction of a layer is that of the first activation function after it. No identity connection
runs across a single layer, so T(W) is W.
"""

import math
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
    Sums,
    gaussian_weights,
    relative_changes,
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
            for target in _MEASURED:
                self._add_noise(call, target, inputs, clean, dead, samples)
            if call.number < len(clean):
                self._add_smoothness(call, inputs, clean, dead, samples)

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
        self, call: Call, inputs: Tensor, clean: list[Tensor], noise: Tensor, on_input: bool
    ) -> tuple[list[Tensor], Tensor]:
        """Return the responses from a layer on, by picture, with noise on its input or output."""
        found: list[Tensor] = []
        pictures = len(inputs)

        def before(other: Call, x: Tensor) -> Tensor | None:
            return x + noise if on_input and other.number == call.number else None

        def after(other: Call, _x: Tensor, output: Tensor) -> Tensor | None:
            changed = None
            if other.number == call.number and not on_input:
                changed = output = output + noise
            if call.number <= other.number < len(clean):
                found.append(other.by_picture(output.clone(), pictures))
            return changed

        logits = self.network.run(inputs, before, after)
        return [*found, logits], logits

    def _add_noise(
        self,
        call: Call,
        target: str,
        inputs: Tensor,
        clean: list[Tensor],
        dead: Tensor,
        samples: NDArray[np.int64],
    ) -> None:
        """Measure noise on the weights or the input of one layer."""
        spec, index, pictures = self.spec, call.number - 1, len(inputs)
        shape = (len(spec.sizes), pictures, spec.repeats)
        changes, flips = np.empty((*shape, len(clean) - index)), np.empty(shape)
        expected = self._by_picture(clean, index, pictures)
        predictions = clean[-1].argmax(1)
        x = self._input(call, inputs)
        for repeat in range(spec.repeats):
            if target == "input":
                own = call.by_picture(x, pictures)
                purpose = f"input noise/{call.number}"
                drawn = sample_noise(own, spec.noise_seed, purpose, repeat, samples)
                noise = call.as_called(scaled_to(drawn, own), x)
            else:
                norm = call.weight_norm()
                if target == "equal_weight":
                    norm = math.sqrt(2 * call.weight.shape[0])
                direction = gaussian_weights(
                    call.weight.detach(), norm, spec.noise_seed, call.number, repeat
                )
                # The layer is linear in its weights.
                noise = call.linear(x, direction)
            for position, size in enumerate(spec.sizes):
                noisy, logits = self._noisy(call, inputs, clean, size * noise, target == "input")
                change = relative_changes(noisy, expected, dead[:, index:])
                changes[position, :, repeat] = change.cpu().numpy()
                changed = (logits.argmax(1) != predictions).double()
                # A prediction exists where the change of the logits does.
                changed = torch.where(change[:, -1].isfinite(), changed, change[:, -1])
                flips[position, :, repeat] = changed.cpu().numpy()
        for position in range(len(spec.sizes)):
            place = (position, index)
            self.moments[f"{target}_noise"].add((*place, slice(index, None)), changes[position])
            self.moments[f"{target}_noise_flips"].add(place, flips[position])

    def _add_smoothness(
        self,
        call: Call,
        inputs: Tensor,
        clean: list[Tensor],
        dead: Tensor,
        samples: NDArray[np.int64],
    ) -> None:
        """Measure how far the map from one layer's response to later ones is from linear."""
        spec, index, pictures = self.spec, call.number - 1, len(inputs)
        z = call.by_picture(clean[index], pictures)
        expected = self._by_picture(clean, index + 1, pictures)
        later = torch.stack([norms(response) for response in expected], 1)
        values = np.empty((len(spec.sizes), pictures, spec.repeats, len(expected)))
        for repeat in range(spec.repeats):
            purpose = f"response noise/{call.number}"
            drawn = sample_noise(z, spec.noise_seed, purpose, repeat, samples)
            noise = call.as_called(scaled_to(drawn, z), clean[index])
            tangents = self._tangents(call, inputs, len(clean), noise)
            for position, size in enumerate(spec.sizes):
                noisy, _ = self._noisy(call, inputs, clean, size * noise, on_input=False)
                errors = [
                    norms(n - e - size * t)
                    for n, e, t in zip(noisy[1:], expected, tangents, strict=True)
                ]
                # ||eta|| / ||z_i|| is the size.
                found = ratio(torch.stack(errors, 1), size * later, dead[:, index + 1 :])
                values[position, :, repeat] = found.cpu().numpy()
        for position in range(len(spec.sizes)):
            place = (position, index, slice(index + 1, None))
            self.moments["inverse_smoothness"].add(place, values[position])

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
