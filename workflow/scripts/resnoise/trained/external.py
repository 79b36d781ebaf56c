"""Networks trained elsewhere: state dicts of CIFAR ResNets, and of torchvision's, read and checked.

Nothing of a file is executed: only tensors and plain containers are read from it.
"""

import dataclasses
import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from resnoise import devices
from resnoise.data.dataset import Dataset
from resnoise.errors import ResnoiseError
from resnoise.networks.fully_fledged import FullyFledgedNet
from resnoise.networks.simplified import SimplifiedNet
from resnoise.specs.metrics import ExternalSpec
from resnoise.storage.checksum import file_digest
from resnoise.storage.digests import write_json
from resnoise.training.batches import Normalisation
from resnoise.training.evaluation import evaluate

_WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
_PREFIXES = ("module.", "_orig_mod.")
# A counter that evaluation does not need and that old files do not have.
_COUNTER = "num_batches_tracked"

Weights = dict[str, Tensor]


@dataclasses.dataclass(frozen=True)
class ExternalNetwork:
    """A network trained elsewhere, to be measured as a run's is.

    Attributes:
        spec: what the configuration says of it.
        build: makes a network of its structure.
        weights: its parameters and buffers.
        depth: its number of layers with weights, shortcuts left out.
        dataset: the pictures to measure it on.
        digests: of its file and of the data set, and its specification.
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
        """Return what makes its inputs of uint8 pictures."""
        mean, std = self.spec.mean, self.spec.std
        return Normalisation(
            self.dataset.channel_mean if mean is None else np.array(mean),
            self.dataset.channel_std if std is None else np.array(std),
            device,
            torch.float32,
        )

    def usable(self, every_snapshot: bool) -> list[str]:
        """Return the labels to measure: there is one."""
        return ["final"]


def read(spec: ExternalSpec, path: Path, dataset: Dataset) -> ExternalNetwork:
    """Return the network of a state dict.

    Args:
        spec: what the configuration says of it.
        path: the file.
        dataset: pictures to measure it on.

    Raises:
        ResnoiseError: the file is missing, no state dict, or does not fit; the message names the
            first key that is missing, unexpected or of another shape.
    """
    weights = read_state_dict(path)
    if spec.naming == "torchvision":
        build, depth = _torchvision(weights, path)
    else:
        build, depth = _cifar(weights, spec.residual, path)
    fitted = _fit(weights, build().state_dict(), path)
    channels = fitted["conv1.weight"].shape[1]
    if channels != dataset.train_images.shape[3]:
        raise ResnoiseError(
            f"{path}: conv1.weight takes {channels} channels, and the pictures have "
            f"{dataset.train_images.shape[3]}"
        )
    digests = {"file": file_digest(path), "data": dataset.digest, "network": spec.to_json()}
    return ExternalNetwork(spec, build, fitted, depth, dataset, digests)


def read_state_dict(path: Path) -> Weights:
    """Return the tensors of a state dict, without wrapper and prefixes, ``linear`` called ``fc``.

    Raises:
        ResnoiseError: the file is missing, damaged, holds more than tensors and plain containers,
            or no state dict.
    """
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ResnoiseError(f"{path}: no such file") from error
    except pickle.UnpicklingError as error:
        raise ResnoiseError(
            f"{path}: damaged, or holds more than tensors and plain containers, and code is never "
            f"executed; save it with torch.save(network.state_dict(), ...) ({_first_line(error)})"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise ResnoiseError(
            f"{path}: damaged, or no file of torch.save ({_first_line(error)})"
        ) from error
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not content:
        raise ResnoiseError(f"{path}: holds a {type(content).__name__}, needed: a state dict")
    weights: Weights = {}
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise ResnoiseError(
                f"{path}: {key!r} is a {type(value).__name__}, needed: a state dict of tensors, "
                f"bare or under one of {', '.join(_WRAPPERS)}"
            )
        name = key
        while name.startswith(_PREFIXES):
            name = name[name.index(".") + 1 :]
        if name.startswith("linear."):
            name = f"fc.{name.removeprefix('linear.')}"
        weights[name] = value
    return weights


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _shape(weights: Weights, name: str, dimensions: int, path: Path) -> torch.Size:
    """Return the shape of the weights from which the structure follows."""
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
    """Return the number of blocks of a group."""
    numbers = {key.split(".")[1] for key in weights if key.startswith(f"{group}.")}
    return len({number for number in numbers if number.isdigit()})


def _cifar(weights: Weights, residual: bool, path: Path) -> tuple[Callable[[], nn.Module], int]:
    """Return how to build the CIFAR network that has these weights, and its depth."""
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
    """Return how to build the network of torchvision that has these weights, and its depth."""
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
    """Return the weights for a network with the state dict ``expected``, in float32.

    Raises:
        ResnoiseError: a key is missing, unexpected or of another shape; names the first one.
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
        if not name.endswith(_COUNTER) and not (
            found.is_floating_point() and bool(found.isfinite().all())
        ):
            raise ResnoiseError(f"{path}: {name} holds other things than finite real numbers")
        fitted[name] = found.to(tensor.dtype)
    for name in weights:
        if name not in expected:
            projection = ".downsample." in name or ".shortcut." in name
            hint = "; shortcuts with weights need naming: torchvision" if projection else ""
            raise ResnoiseError(f"{path}: unexpected key {name!r}{hint}")
    return fitted


@torch.no_grad()
def describe(network: ExternalNetwork, output: Path, device: torch.device) -> None:
    """Write facts of a network as JSON; its test error shows whether the standardising is right.

    Keys: name, depth, residual, parameters, sha256 of the file, mean and std, pictures, test_loss
    and test_error (null if its classes are not those of the pictures).
    """
    module = network.network("final", device)
    normalise = network.normalisation(device)
    dataset = network.dataset
    images, labels = (
        torch.from_numpy(array).to(device) for array in (dataset.test_images, dataset.test_labels)
    )
    loss, error = None, None
    if network.weights["fc.weight"].shape[0] == len(dataset.class_names):
        loss, error = evaluate(module, images, labels, normalise)
    deviation = 1 / (255 * normalise.scale.double())
    write_json(
        output,
        {
            "name": network.spec.name,
            "depth": network.depth,
            "residual": network.spec.residual,
            "parameters": sum(p.numel() for p in module.parameters()),
            "sha256": network.digests["file"],
            "mean": (-normalise.shift.double() * deviation).tolist(),
            "std": deviation.tolist(),
            "pictures": len(labels),
            "test_loss": loss,
            "test_error": error,
        },
    )
