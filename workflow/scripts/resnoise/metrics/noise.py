"""Gaussian noise, and sums of what it does in a network (``resnoise.metrics.noise_stability``)."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resnoise.metrics.layers import norms, ratio
from resnoise.metrics.moments import Moments, Summary
from resnoise.seeds import generator
from resnoise.specs.metrics import NoiseStabilitySpec

# Responses, the last of them logits, as a function of the size of some noise.
Responses: TypeAlias = Callable[[float], Sequence[Tensor]]

# What noise is put on.
TARGETS = ("equal_weight", "transferred_weight", "weight", "input")
COLUMNS = (
    *("snapshot", "quantity", "size", "layer", "name", "at_layer"),
    *Summary._fields,
    "repeats",
)


class Numbered(Protocol):
    """A layer: its place in the network, from 1, and its name."""

    @property
    def number(self) -> int: ...  # noqa: D102

    @property
    def name(self) -> str: ...  # noqa: D102


class Sums:
    """The quantities of one network, summed over pictures.

    Attributes:
        spec: sizes, repeats and seed of the noise.
        noisy: layers that have noise on weights and inputs.
        ends: layers whose responses are measured.
        moments: statistics by quantity. Entries are [size, noisy, end] for noise, [size, noisy] for
            flips, [size, end, end] for smoothness and [end] for contraction; those of responses
            before the noise stay empty.
        largest: largest number of pictures to measure at once, None for any.
    """

    largest: int | None = None

    def __init__(
        self, spec: NoiseStabilitySpec, noisy: Sequence[Numbered], ends: Sequence[Numbered]
    ) -> None:
        """Start with no pictures."""
        self.spec, self.noisy, self.ends = spec, noisy, ends
        sizes, repeats, count, last = len(spec.sizes), spec.repeats, len(ends), len(noisy)
        self.moments = {"activation_contraction": Moments((count,), 1, random=False)}
        for target in TARGETS:
            self.moments[f"{target}_noise"] = Moments((sizes, last, count), repeats)
            self.moments[f"{target}_noise_flips"] = Moments((sizes, last), repeats)
        self.moments["inverse_smoothness"] = Moments((sizes, count, count), repeats)

    def add_noise(
        self,
        target: str,
        noisy: int,
        first: int,
        clean: Sequence[Tensor],
        dead: Tensor,
        draw: Callable[[int], Responses],
    ) -> None:
        """Measure noise on one layer.

        Args:
            target: what it is put on, one of ``TARGETS``.
            noisy: position of the layer in ``noisy``.
            first: position of its response in ``ends``.
            clean: the responses from there on without noise, [B, ...] each; the last are the
                logits, [B, classes].
            dead: which of these are dead, bool [B, responses].
            draw: returns the responses as a function of the size of the noise, for the number of a
                draw.
        """
        shape = (len(self.spec.sizes), len(dead), self.spec.repeats)
        changes, flips = np.empty((*shape, len(clean))), np.empty(shape)
        predictions = clean[-1].argmax(1)
        for repeat in range(self.spec.repeats):
            respond = draw(repeat)
            for position, size in enumerate(self.spec.sizes):
                found = respond(size)
                change = relative_changes(found, clean, dead)
                changes[position, :, repeat] = change.cpu().numpy()
                changed = (found[-1].argmax(1) != predictions).double()
                # A prediction exists where the change of the logits does.
                changed = torch.where(change[:, -1].isfinite(), changed, change[:, -1])
                flips[position, :, repeat] = changed.cpu().numpy()
        for position in range(len(self.spec.sizes)):
            place = (position, noisy)
            self.moments[f"{target}_noise"].add((*place, slice(first, None)), changes[position])
            self.moments[f"{target}_noise_flips"].add(place, flips[position])

    def add_smoothness(
        self,
        end: int,
        later: Sequence[Tensor],
        dead: Tensor,
        draw: Callable[[int], tuple[Sequence[Tensor], Responses]],
    ) -> None:
        """Measure how far the map from one response to later ones is from linear.

        Args:
            end: position of the response in ``ends``.
            later: the later ones without noise, [B, ...] each.
            dead: which of these are dead, bool [B, responses].
            draw: returns, for the number of a draw, J eta at the later responses for noise eta as
                large as the response, and these responses as a function of the size of the noise.
        """
        lengths = torch.stack([norms(response) for response in later], 1)
        sizes, repeats = self.spec.sizes, self.spec.repeats
        values = np.empty((len(sizes), len(dead), repeats, len(later)))
        for repeat in range(repeats):
            tangents, respond = draw(repeat)
            for position, size in enumerate(sizes):
                errors = [
                    norms(noisy - clean - size * tangent)
                    for noisy, clean, tangent in zip(respond(size), later, tangents, strict=True)
                ]
                # ||eta|| / ||z_i|| is the size.
                found = ratio(torch.stack(errors, 1), size * lengths, dead)
                values[position, :, repeat] = found.cpu().numpy()
        for position in range(len(sizes)):
            place = (position, end, slice(end + 1, None))
            self.moments["inverse_smoothness"].add(place, values[position])

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield a row for each entry that was measured.

        Keys: quantity, size (empty for contraction), layer (number of the layer that has the
        noise), name, at_layer (number of the layer whose response is measured; for flips the last),
        mean, standard_error, standard_deviation, minimum, maximum, samples (number of pictures that
        count), state ("dead" or "exploded" if none does), repeats.
        """
        for quantity, moments in self.moments.items():
            summary = moments.summary()
            for entry in np.argwhere((summary.samples > 0) | (summary.state != "")):
                if quantity == "activation_contraction":
                    size, layer, at = math.nan, self.ends[entry[0]], self.ends[entry[0]]
                else:
                    noisy = self.ends if quantity == "inverse_smoothness" else self.noisy
                    size, layer = self.spec.sizes[entry[0]], noisy[entry[1]]
                    # Flips have no third index: they are measured at the output.
                    at = self.ends[entry[2]] if len(entry) == 3 else self.ends[-1]
                yield {
                    "quantity": quantity,
                    "size": size,
                    "layer": layer.number,
                    "name": layer.name,
                    "at_layer": at.number,
                    **{name: values[tuple(entry)] for name, values in summary._asdict().items()},
                    "samples": int(summary.samples[tuple(entry)]),
                    "repeats": moments.repeats,
                }


def relative_changes(noisy: Sequence[Tensor], clean: Sequence[Tensor], dead: Tensor) -> Tensor:
    """Return ``||z' - z|| / ||z||`` of each picture and response, float64 [B, responses]."""
    changes = [norms(n - z) for n, z in zip(noisy, clean, strict=True)]
    return ratio(torch.stack(changes, 1), torch.stack([norms(z) for z in clean], 1), dead)


def kaiming_norm(weight: Tensor) -> float:
    """Return the norm that Kaiming's initialisation gives weights of this shape on average."""
    return math.sqrt(2 * weight.shape[0])


def gaussian_weights(weight: Tensor, norm: float, seed: int, number: int, repeat: int) -> Tensor:
    """Return Gaussian noise for the weights of layer ``number``, scaled to a norm.

    Layers with the same number and shape get the same direction in all networks.
    """
    numbers = generator(seed, f"weight noise/{number}", repeat)
    drawn = torch.randn(weight.shape, generator=numbers, dtype=torch.float64)
    scaled: Tensor = drawn * (norm / torch.linalg.vector_norm(drawn))
    return scaled.to(weight)


def sample_noise(
    like: Tensor, seed: int, purpose: str, repeat: int, samples: NDArray[np.int64]
) -> Tensor:
    """Return Gaussian noise for each picture; it depends on the picture's number only.

    Args:
        like: shape [B, ...], type and device.
        seed: seed of the noise.
        purpose: use of the noise; each use has random numbers of its own.
        repeat: number of the draw.
        samples: [B], numbers of the pictures.
    """
    drawn = [
        torch.randn(like.shape[1:], generator=generator(seed, f"{purpose}/{sample}", repeat))
        for sample in samples.tolist()
    ]
    return torch.stack(drawn).to(like)


def scaled_to(noise: Tensor, x: Tensor) -> Tensor:
    """Return ``noise`` [B, ...] with each sample scaled to the 2-norm of that of ``x``."""
    factors = (norms(x) / norms(noise)).to(x.dtype)
    return noise * factors.view(-1, *(1,) * (x.dim() - 1))
