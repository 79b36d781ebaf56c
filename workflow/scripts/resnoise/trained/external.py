"""Networks trained elsewhere: ResNets that their state dicts describe, or any from Python files."""

import dataclasses
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from resnoise import devices
from resnoise.data.dataset import Dataset
from resnoise.errors import ResnoiseError
from resnoise.metrics.calls import Calls
from resnoise.networks.resnet import ResNet
from resnoise.networks.simplified import SimplifiedNet
from resnoise.specs.metrics import ExternalSpec
from resnoise.storage.checksum import file_digest
from resnoise.storage.digests import write_json
from resnoise.trained import conventions, user_code, user_network
from resnoise.trained.candidates import PICTURES, Fit, fit_of, guesses, rank
from resnoise.trained.shapes import Choices, Structure
from resnoise.trained.state_dict import Weights, fit, read_state_dict
from resnoise.training.batches import Normalisation
from resnoise.training.evaluation import evaluate

_log = logging.getLogger(__name__)

# The value of the key shortcut for a kind that is to be found.
_AUTO = "auto"
_SUSPECTS = (
    "the test error of {error:.3f} is that of guessing: suspect mean and std first (numbers for "
    "pixels from 0 to 255 must be divided by 255), then the pictures and the order of their classes"
)


@dataclasses.dataclass(frozen=True)
class ExternalNetwork:
    """A network trained elsewhere, which can be measured like that of a run.

    Attributes:
        spec: its specification.
        build: builds a network of its structure, with other weights.
        weights: its parameters and buffers.
        depth: its number of layers with weights, without those in shortcuts.
        dataset: the pictures to measure it on.
        digests: digests of its file and of the data set, its specification as JSON, and the chosen
            structure. These determine its results, apart from the metric's specification.
        notes: sentences that someone who reads the results should know.
        compared: the structures that were compared, the best one first: structure (in words),
            test_error, and pictures (their number).
    """

    spec: ExternalSpec
    build: Callable[[], nn.Module]
    weights: Weights
    depth: int
    dataset: Dataset
    digests: dict[str, str]
    notes: tuple[str, ...] = ()
    compared: tuple[dict[str, Any], ...] = ()

    def network(self, label: str, device: torch.device) -> nn.Module:
        """Return the network in float32 and evaluation mode; the only ``label`` is "final"."""
        assert label == "final"
        network = self.build()
        network.load_state_dict(self.weights)
        if self.is_users:
            return network.to(device=device, dtype=torch.float32).eval()
        return devices.place(network, device, "float32").eval()

    def normalisation(self, device: torch.device) -> Normalisation:
        """Return the conversion of uint8 pictures to inputs of this network."""
        mean, std = self.spec.mean, self.spec.std
        kind = _InUsualOrder if self.is_users else Normalisation
        return kind(
            self.dataset.channel_mean if mean is None else np.array(mean),
            self.dataset.channel_std if std is None else np.array(std),
            device,
            torch.float32,
        )

    @property
    def is_users(self) -> bool:
        """Whether code of the user's defines the network."""
        return "module" in self.digests

    def usable(self, every_snapshot: bool) -> list[str]:
        """Return the labels of the weights to measure: there is only the final one."""
        return ["final"]


class _InUsualOrder(Normalisation):
    """For networks of the user's, which may flatten by ``view`` what convolutions make of it."""

    def __call__(self, pictures: Tensor) -> Tensor:
        """Map uint8 [B, H, W, C] to standardised [B, C, H, W] in the usual order in memory."""
        return super().__call__(pictures).contiguous()


def read(
    spec: ExternalSpec,
    path: Path | None,
    dataset: Dataset,
    module: Path | None = None,
    device: torch.device | None = None,
) -> ExternalNetwork:
    """Read a network from a file with its weights, or from a Python file of the user's.

    Where a file of weights leaves the structure open, the networks that are possible are compared.
    What should be known about the network is logged.

    Args:
        spec: specification of the network.
        path: the file with its state dict; None if the Python file makes it ready.
        dataset: the pictures to measure the network on.
        module: the Python file that defines ``spec.factory``; None if there is none.
        device: where to compare networks; None for the CPU.

    Raises:
        ResnoiseError: the file is missing, is not a state dict, or does not fit the specification
            or the pictures; the message names the first key that is missing, unexpected or of
            another shape.
    """
    _check_normalisation(spec, dataset.train_images.shape[3])
    if module is not None:
        return _noted(_user_network(spec, module, path, dataset))
    assert path is not None
    weights = read_state_dict(path, spec.rename)
    _check_channels(weights, dataset, path)
    digests = {"file": file_digest(path), "data": dataset.digest, "network": spec.to_json()}
    network = ExternalNetwork(spec, nn.Identity, {}, 0, dataset, digests)
    if "layer1.0.conv.weight" in weights:
        weights = conventions.common_classifier(weights)
        build, depth = _simplified(weights, spec, path)
        fitted = fit(weights, build().state_dict(), path)
        return _noted(dataclasses.replace(network, build=build, weights=fitted, depth=depth))
    structure = Structure(conventions.rename(weights, path), path)
    place = device or torch.device("cpu")
    return _noted(_best(network, structure, path, place))


def _check_normalisation(spec: ExternalSpec, channels: int) -> None:
    """Raise ResnoiseError unless mean and std are given for each channel, or not at all."""
    for name, values in (("mean", spec.mean), ("std", spec.std)):
        if values is not None and len(values) != channels:
            raise ResnoiseError(
                f"{name}: {list(values)} given, allowed: {channels} numbers, one for each channel "
                "of the pictures"
            )


def _user_network(
    spec: ExternalSpec, module: Path, path: Path | None, dataset: Dataset
) -> ExternalNetwork:
    """Return the network that a Python file of the user's defines; its code is executed."""
    assert spec.factory is not None
    network = user_network.build(module, spec.factory)
    weights = dict(network.state_dict())
    code = user_code.digest(module)
    digests = {"file": code, "module": code, "data": dataset.digest, "network": spec.to_json()}
    if path is not None:
        weights = fit(read_state_dict(path, spec.rename, weights), weights, path)
        digests["file"] = file_digest(path)
    found = ExternalNetwork(spec, lambda: network, weights, 0, dataset, digests)
    cpu = torch.device("cpu")
    images = torch.from_numpy(dataset.train_images[:2])
    inputs = found.normalisation(cpu)(images)
    ready = found.network("final", cpu)
    user_network.check(ready, module, inputs[:1])
    return dataclasses.replace(found, depth=len(Calls(ready, inputs).calls))


def _check_channels(weights: Weights, dataset: Dataset, path: Path) -> None:
    """Raise ResnoiseError unless the first layer takes pictures of as many channels."""
    channels = dataset.train_images.shape[3]
    stem = next((f"{name}.weight" for name in conventions.STEMS if f"{name}.weight" in weights), "")
    if stem and weights[stem].dim() == 4 and weights[stem].shape[1] != channels:
        raise ResnoiseError(
            f"{path}: {stem} takes {weights[stem].shape[1]} channels, but the pictures have "
            f"{channels}"
        )


def _simplified(
    weights: Weights, spec: ExternalSpec, path: Path
) -> tuple[Callable[[], nn.Module], int]:
    """Return a function that builds the simplified network of these weights, and its depth."""
    if spec.shortcut != _AUTO:
        raise ResnoiseError(
            f"{path}: shortcut: {spec.shortcut} given, allowed: auto, because the shortcuts of "
            "simplified networks are stacked"
        )
    for name, dimensions in (("conv1.weight", 4), ("fc.weight", 2)):
        if name not in weights or weights[name].dim() != dimensions:
            raise ResnoiseError(f"{path}: no key {name!r} of {dimensions} dimensions")
    width, channels = weights["conv1.weight"].shape[:2]
    classes = len(weights["fc.weight"])
    numbers = {key.split(".")[1] for key in weights if key.startswith("layer1.")}
    depth = 6 * (len(numbers) // 2) + 2
    return lambda: SimplifiedNet(depth, width, classes, channels, spec.residual), depth


def _best(
    network: ExternalNetwork, structure: Structure, path: Path, device: torch.device
) -> ExternalNetwork:
    """Return the network of this structure that makes the fewest errors on test pictures.

    Args:
        network: the network, as yet without structure and weights.
        structure: what the file shows.
        path: the file, for messages.
        device: where to compare.
    """
    spec = network.spec

    def complete(chosen: Choices) -> ExternalNetwork:
        shape = structure.shape(chosen)
        with torch.device("meta"):
            expected = ResNet(shape).state_dict()
        weights = fit(structure.named.weights, expected, path, structure.original)
        return dataclasses.replace(
            network,
            build=lambda: ResNet(shape),
            weights=weights,
            depth=shape.depth,
            digests={**network.digests, "structure": repr(chosen)},
        )

    def measure(candidate: ExternalNetwork, pictures: int = PICTURES) -> Fit:
        normalise = network.normalisation(device)
        module = candidate.network("final", device)
        return fit_of(module, network.dataset, normalise, device, pictures)

    kind = [] if spec.shortcut == _AUTO else [spec.shortcut]
    choices = structure.candidates(*kind, residual=spec.residual)
    candidates = []
    for chosen in choices:
        try:
            candidates.append((chosen, complete(chosen)))
        except ResnoiseError:
            # Stacked shortcuts are not possible everywhere; if nothing is, the first one says why.
            if chosen is choices[0]:
                raise
    first = candidates[0][1]
    if len(candidates) == 1:
        return first
    words = [chosen.told(choices) for chosen, _ in candidates]
    if structure.classes != len(network.dataset.class_names):
        note = (
            f"the file does not show {structure.open(choices)}, and without a test error nothing "
            f"else does: ASSUMED is {words[0]}, which is the most usual"
        )
        return dataclasses.replace(first, notes=(note,))
    ranked = rank(len(candidates), lambda place, pictures: measure(candidates[place][1], pictures))
    (best, found), (second, other) = ranked[:2]
    note = (
        f"the file does not show {structure.open(choices)}: of {len(ranked)} possible networks "
        f"the one with {words[best]} fits best, with a test error of {found.error:.3f} on "
        f"{found.pictures} pictures; the second, with {words[second]}, has {other.error:.3f}"
    )
    if not found.differs(other):
        note += f" (losses {found.loss:.3f} and {other.loss:.3f})"
        if not found.differs_in_loss(other):
            note += ", which is NO CLEAR DIFFERENCE"
    notes = [note]
    known = len(network.dataset.class_names)
    if guesses(found.error, found.pictures, known) and not structure.projections:
        plain = [complete(chosen) for chosen in structure.candidates(residual=False)]
        least = min((measure(candidate) for candidate in plain), key=lambda one: one.error)
        if not guesses(least.error, least.pictures, known):
            notes.append(
                f"without shortcuts (residual: false) the test error is {least.error:.3f}, which "
                "is better than guessing"
            )
    compared = tuple(
        {"structure": words[place], "test_error": one.error, "pictures": one.pictures}
        for place, one in ranked
    )
    return dataclasses.replace(candidates[best][1], notes=tuple(notes), compared=compared)


def _noted(network: ExternalNetwork) -> ExternalNetwork:
    """Return the network with notes on kernels that are 0, and log all notes."""
    notes = list(network.notes)
    for name, tensor in network.weights.items():
        if name.endswith(".weight") and tensor.dim() > 1 and not bool(tensor.any()):
            notes.append(f"{name} is 0 throughout: the layer and all that it feeds is dead")
    for note in notes:
        _log.warning("%s: %s", network.spec.name, note)
    return dataclasses.replace(network, notes=tuple(notes))


@torch.no_grad()
def describe(network: ExternalNetwork, output: Path, device: torch.device) -> None:
    """Write facts about a network as JSON. Its test error shows if ``mean`` and ``std`` are right.

    The keys are name, depth, residual (null if unknown), parameters (their number), sha256 (of the
    file), data_digest (of the pictures), mean and std (per channel, of the standardisation),
    pictures (size of the test set), test_loss and test_error, which are null if the network and the
    pictures differ in the number of classes, or if its outputs overflow, compared (structures that
    the file may have and their test errors on some pictures, the chosen one first) and notes.
    """
    module = network.network("final", device)
    normalise = network.normalisation(device)
    dataset = network.dataset
    images, labels = (
        torch.from_numpy(array).to(device) for array in (dataset.test_images, dataset.test_labels)
    )
    notes = []
    loss, error = None, None
    classes = len(dataset.class_names)
    own = module(normalise(images[:1])).shape[1]
    if own != classes:
        notes.append(
            f"the network has {own} classes and the pictures have {classes}: no test error can "
            "show whether it was read correctly"
        )
    else:
        measured = evaluate(module, images, labels, normalise)
        # A network that has exploded has neither, and JSON no NaN.
        loss, error = measured if math.isfinite(measured[0]) else (None, None)
        if error is None:
            notes.append("the outputs overflow: there is no test error")
        elif guesses(error, len(labels), classes):
            notes.append(_SUSPECTS.format(error=error))
    for note in notes:
        _log.warning("%s: %s", network.spec.name, note)
    deviation = 1 / (255 * normalise.scale.double())
    write_json(
        output,
        {
            "name": network.spec.name,
            "depth": network.depth,
            # Of a network of the user's code it is not known.
            "residual": None if network.is_users else network.spec.residual,
            "parameters": sum(p.numel() for p in module.parameters()),
            "sha256": network.digests["file"],
            "data_digest": network.digests["data"],
            "mean": (-normalise.shift.double() * deviation).tolist(),
            "std": deviation.tolist(),
            "pictures": len(labels),
            "test_loss": loss,
            "test_error": error,
            "compared": list(network.compared),
            "notes": [*network.notes, *notes],
        },
    )
