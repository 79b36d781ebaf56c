"""Networks trained elsewhere: ResNets that their state dicts describe, or any from Python files."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from resnoise import devices
from resnoise.data.dataset import Dataset
from resnoise.errors import ResnoiseError
from resnoise.metrics.calls import Calls
from resnoise.networks.fully_fledged import FullyFledgedNet
from resnoise.networks.simplified import SimplifiedNet
from resnoise.specs.metrics import ExternalSpec
from resnoise.storage.checksum import file_digest
from resnoise.storage.digests import write_json
from resnoise.trained import user_code, user_network
from resnoise.trained.state_dict import Weights, read_state_dict, read_tensors
from resnoise.training.batches import Normalisation
from resnoise.training.evaluation import evaluate

# A counter of batch normalisation that evaluation does not need and old files lack.
_COUNTER = "num_batches_tracked"
_VARIANCE = "running_var"


@dataclasses.dataclass(frozen=True)
class ExternalNetwork:
    """A network trained elsewhere, which can be measured like that of a run.

    Attributes:
        spec: its specification.
        build: builds a network of its structure, with other weights.
        weights: its parameters and buffers.
        depth: its number of layers with weights, without those in shortcuts.
        dataset: the pictures to measure it on.
        digests: digests of its file and of the data set, and its specification as JSON. These
            determine its results, apart from the metric's specification.
    """

    spec: ExternalSpec
    build: Callable[[], nn.Module]
    weights: Weights
    depth: int
    dataset: Dataset
    digests: dict[str, str]

    def network(self, label: str, device: torch.device) -> nn.Module:
        """Return the network in float32 and evaluation mode; the only ``label`` is "final"."""
        assert label == "final"
        network = self.build()
        network.load_state_dict(self.weights)
        return devices.place(network, device, "float32").eval()

    def normalisation(self, device: torch.device) -> Normalisation:
        """Return the conversion of uint8 pictures to inputs of this network."""
        mean, std = self.spec.mean, self.spec.std
        return Normalisation(
            self.dataset.channel_mean if mean is None else np.array(mean),
            self.dataset.channel_std if std is None else np.array(std),
            device,
            torch.float32,
        )

    def usable(self, every_snapshot: bool) -> list[str]:
        """Return the labels of the weights to measure: there is only the final one."""
        return ["final"]


def read(
    spec: ExternalSpec, path: Path | None, dataset: Dataset, module: Path | None = None
) -> ExternalNetwork:
    """Read a network from a file with its state dict, or from a Python file of the user's.

    Args:
        spec: specification of the network.
        path: the file with its state dict; None if the Python file makes it ready.
        dataset: the pictures to measure the network on.
        module: the Python file that defines ``spec.factory``; None if there is none.

    Raises:
        ResnoiseError: the file is missing, is not a state dict, or does not fit the specification
            or the pictures; the message names the first key that is missing, unexpected or of
            another shape.
    """
    if module is not None:
        return _user_network(spec, module, path, dataset)
    assert path is not None
    weights = read_state_dict(path)
    if spec.naming == "torchvision":
        build, depth = _torchvision(weights, path)
    else:
        build, depth = _cifar(weights, spec.residual, path)
    fitted = _fit(weights, build().state_dict(), path)
    channels = fitted["conv1.weight"].shape[1]
    if channels != dataset.train_images.shape[3]:
        raise ResnoiseError(
            f"{path}: conv1.weight takes {channels} channels, but the pictures have "
            f"{dataset.train_images.shape[3]}"
        )
    _check_normalisation(spec, channels)
    digests = {"file": file_digest(path), "data": dataset.digest, "network": spec.to_json()}
    return ExternalNetwork(spec, build, fitted, depth, dataset, digests)


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
    _check_normalisation(spec, dataset.train_images.shape[3])
    network = user_network.build(module, spec.factory)
    weights = dict(network.state_dict())
    code = user_code.digest(module)
    digests = {"file": code, "module": code, "data": dataset.digest, "network": spec.to_json()}
    if path is not None:
        weights = _fit(read_tensors(path), weights, path)
        digests["file"] = file_digest(path)
    found = ExternalNetwork(spec, lambda: network, weights, 0, dataset, digests)
    cpu = torch.device("cpu")
    images = torch.from_numpy(dataset.train_images[:2])
    inputs = found.normalisation(cpu)(images)
    ready = found.network("final", cpu)
    user_network.check(ready, module, inputs[:1])
    return dataclasses.replace(found, depth=len(Calls(ready, inputs).calls))


def _shape(weights: Weights, name: str, dimensions: int, path: Path) -> torch.Size:
    """Return the shape of the tensor ``name``; ResnoiseError if its dimensions are wrong."""
    if name not in weights:
        raise ResnoiseError(
            f"{path}: no key {name!r}; its keys are {', '.join([*weights][:4])}, ..."
        )
    shape = weights[name].shape
    if len(shape) != dimensions:
        raise ResnoiseError(
            f"{path}: {name} has shape {tuple(shape)}, needed: {dimensions} dimensions"
        )
    return shape


def _blocks(weights: Weights, group: str) -> int:
    """Return the number of blocks in a group, such as "layer1"."""
    numbers = {key.split(".")[1] for key in weights if key.startswith(f"{group}.")}
    return len({number for number in numbers if number.isdigit()})


def _cifar(weights: Weights, residual: bool, path: Path) -> tuple[Callable[[], nn.Module], int]:
    """Return a function that builds the CIFAR network of these weights, and its depth."""
    width, channels = _shape(weights, "conv1.weight", 4, path)[:2]
    classes = _shape(weights, "fc.weight", 2, path)[0]
    blocks = _blocks(weights, "layer1")
    if "layer1.0.conv.weight" in weights:
        depth = 6 * (blocks // 2) + 2
        return lambda: SimplifiedNet(depth, width, classes, channels, residual), depth
    _shape(weights, "layer1.0.conv1.weight", 4, path)
    depth = 6 * blocks + 2
    return lambda: FullyFledgedNet(depth, width, classes, channels, residual), depth


def _torchvision(weights: Weights, path: Path) -> tuple[Callable[[], nn.Module], int]:
    """Return a function that builds the torchvision network of these weights, and its depth."""
    channels = _shape(weights, "conv1.weight", 4, path)[1]
    if channels != 3:
        raise ResnoiseError(f"{path}: conv1.weight takes {channels} channels, allowed: 3")
    classes = _shape(weights, "fc.weight", 2, path)[0]
    counts = [_blocks(weights, f"layer{group}") for group in range(1, 5)]
    if not all(counts):
        raise ResnoiseError(f"{path}: no blocks in layer{counts.index(0) + 1}")
    bottleneck = "layer1.0.conv3.weight" in weights
    kind = Bottleneck if bottleneck else BasicBlock
    depth = (3 if bottleneck else 2) * sum(counts) + 2
    return lambda: ResNet(kind, counts, num_classes=classes), depth


def _fit(weights: Weights, expected: Mapping[str, Tensor], path: Path) -> Weights:
    """Return the weights with the names and types of the state dict ``expected``.

    Raises:
        ResnoiseError: a key is missing, unexpected or of another shape, or its values are not
            finite real numbers, or negative where they are variances; the message names the first
            such key.
    """
    fitted: Weights = {}
    for name, tensor in expected.items():
        if name not in weights:
            if name.endswith(_COUNTER):
                fitted[name] = tensor
                continue
            raise ResnoiseError(f"{path}: missing key {name!r}, of shape {tuple(tensor.shape)}")
        found = weights[name]
        if found.shape != tensor.shape:
            raise ResnoiseError(
                f"{path}: {name} has shape {tuple(found.shape)}, needed: {tuple(tensor.shape)}"
            )
        # Checked in the type in which it is measured: float64 holds numbers that float32 does not.
        fitted[name] = own = found.to(tensor.dtype)
        if name.endswith(_COUNTER):
            continue
        if not (found.is_floating_point() and bool(own.isfinite().all())):
            raise ResnoiseError(
                f"{path}: {name} has values that are not finite real numbers in {tensor.dtype}"
            )
        if name.endswith(_VARIANCE) and bool((own < 0).any()):
            raise ResnoiseError(f"{path}: {name} has values below 0, which no variance has")
    for name in weights:
        if name not in expected:
            projection = ".downsample." in name or ".shortcut." in name
            hint = "; shortcuts with weights need naming: torchvision" if projection else ""
            raise ResnoiseError(f"{path}: unexpected key {name!r}{hint}")
    return fitted


@torch.no_grad()
def describe(network: ExternalNetwork, output: Path, device: torch.device) -> None:
    """Write facts about a network as JSON. Its test error shows if ``mean`` and ``std`` are right.

    The keys are name, depth, residual, parameters (their number), sha256 (of the file), data_digest
    (of the pictures), mean and std (per channel, of the standardisation), pictures (size of the
    test set), and test_loss and test_error, which are null if the network and the pictures differ
    in the number of classes, or if its outputs overflow.
    """
    module = network.network("final", device)
    normalise = network.normalisation(device)
    dataset = network.dataset
    images, labels = (
        torch.from_numpy(array).to(device) for array in (dataset.test_images, dataset.test_labels)
    )
    loss, error = None, None
    classes = module(normalise(images[:1])).shape[1]
    if classes == len(dataset.class_names):
        measured = evaluate(module, images, labels, normalise)
        # A network that has exploded has neither, and JSON no NaN.
        loss, error = measured if math.isfinite(measured[0]) else (None, None)
    deviation = 1 / (255 * normalise.scale.double())
    write_json(
        output,
        {
            "name": network.spec.name,
            "depth": network.depth,
            "residual": network.spec.residual,
            "parameters": sum(p.numel() for p in module.parameters()),
            "sha256": network.digests["file"],
            "data_digest": network.digests["data"],
            "mean": (-normalise.shift.double() * deviation).tolist(),
            "std": deviation.tolist(),
            "pictures": len(labels),
            "test_loss": loss,
            "test_error": error,
        },
    )
