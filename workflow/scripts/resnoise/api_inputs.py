"""What the notebook functions (``resnoise.api``) are given: checked, and made ready to measure."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from resnoise import devices
from resnoise.errors import ResnoiseError
from resnoise.metrics import calls
from resnoise.trained import user_network
from resnoise.training.batches import Normalisation

Pictures: TypeAlias = Tensor | NDArray[Any]
Numbers: TypeAlias = Sequence[float] | NDArray[Any] | Tensor
# As text, because pandas has the type for type checkers only.
Labels: TypeAlias = "Tensor | NDArray[Any] | pd.Series[int] | Sequence[int]"


@contextlib.contextmanager
def measured(
    network: nn.Module,
    images: Pictures,
    mean: Numbers | None,
    std: Numbers | None,
) -> Iterator[tuple[nn.Module, Tensor]]:
    """Yield the network to measure, in evaluation mode and without TF32, and its inputs.

    What ``torch.compile`` made of a network is measured without its compiled code, which has
    neither the layers' calls nor their derivatives.

    Args:
        network: maps [N, C, H, W] to logits [N, classes].
        images: inputs of the network [N, C, H, W], or uint8 [N, H, W, C].
        mean: of each channel of uint8 pictures, for pixels from 0 to 1.
        std: standard deviations, given in the same way.

    Raises:
        ResnoiseError: no network, one that is random, no pictures, or pictures that are not for it.
    """
    network = getattr(network, "_orig_mod", network)
    if not isinstance(network, nn.Module):
        raise ResnoiseError(f"network: {_kind(network)} given, allowed: a torch.nn.Module")
    weight = next((p for p in network.parameters() if p.is_floating_point()), None)
    if weight is None:
        raise ResnoiseError(f"a {_kind(network)} without parameters given, needed: weights")
    inputs = _inputs(images, mean, std, weight)
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        # Inference mode keeps nothing of which a derivative could be computed.
        with devices.full_precision(), torch.inference_mode(False):
            inputs = inputs.clone() if inputs.is_inference() else inputs
            with torch.no_grad():
                logits = calls.logits(network, inputs[:1])
            if user_network.is_random(network, inputs[:1], logits):
                raise ResnoiseError(f"a {_kind(network)} given {user_network.RANDOM}")
            yield network, inputs
    finally:
        for module, training in modes.items():
            module.training = training


def _inputs(images: Pictures, mean: Numbers | None, std: Numbers | None, weight: Tensor) -> Tensor:
    """Return pictures as inputs of the type and on the device of a weight."""
    numbers = isinstance(images, np.ndarray) and images.dtype.kind in "fiu"
    if not (isinstance(images, Tensor) or numbers):
        raise ResnoiseError(
            f"images: {_kind(images)} given, allowed: a tensor or a NumPy array of pictures (all "
            "batches of a DataLoader: torch.cat([batch for batch, _ in loader]))"
        )
    # Copied where PyTorch could not read them, such as images[..., ::-1].
    pictures = images if isinstance(images, Tensor) else torch.tensor(np.ascontiguousarray(images))
    if pictures.dim() != 4 or not len(pictures):
        raise ResnoiseError(
            f"images: shape {tuple(pictures.shape)} given, allowed: one or more pictures, "
            "[N, C, H, W] or, as uint8, [N, H, W, C]"
        )
    if pictures.is_floating_point():
        if mean is not None or std is not None:
            raise ResnoiseError(
                "mean, std: given with floating-point images, allowed: with uint8 images only"
            )
        # In the usual order in memory, which networks need that flatten by ``view``.
        inputs = pictures.to(weight).contiguous()
        if unusable := int((~inputs.isfinite()).flatten(1).any(1).sum()):
            raise ResnoiseError(
                f"images: {unusable} of {len(inputs)} pictures with NaN or infinite numbers given "
                f"(in {inputs.dtype}, that of the network), allowed: finite numbers"
            )
        return inputs
    if pictures.dtype != torch.uint8 or mean is None or std is None:
        raise ResnoiseError(
            f"images: {pictures.dtype} given, allowed: inputs of the network as floating-point "
            "numbers, or uint8 with mean and std"
        )
    channels = pictures.shape[3]
    given = {"mean": _array(mean), "std": _array(std)}
    if channels != given["mean"].size == pictures.shape[1]:
        raise ResnoiseError(
            f"images: uint8 of shape {tuple(pictures.shape)} given, allowed: [N, H, W, C], as by "
            "images.permute(0, 2, 3, 1)"
        )
    for name, values in given.items():
        _check_numbers(name, values, channels)
    normalise = Normalisation(given["mean"], given["std"], weight.device, weight.dtype)
    return normalise(pictures.to(weight.device)).contiguous()


def _array(values: Any) -> NDArray[Any]:
    """Return numbers, classes or something else as an array; by NumPy, whatever it is."""
    try:
        return np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values)
    except (TypeError, ValueError):
        return np.asarray(str(values))


def _check_numbers(name: str, given: NDArray[Any], channels: int) -> None:
    """Raise ResnoiseError unless there is a number of the scale from 0 to 1 for each channel."""
    least = 0 if name == "std" else -np.inf
    fits = given.shape == (channels,) and given.dtype.kind in "iuf"
    if not (fits and bool(((given > least) & (given <= 1)).all())):
        bounds = "> 0 and <= 1" if name == "std" else "<= 1"
        raise ResnoiseError(
            f"{name}: {given.tolist()} given, allowed: {channels} numbers {bounds}, one for each "
            "channel, for pixels from 0 to 1 (divide those for 0 to 255 by 255)"
        )


def right_classes(labels: Labels, pictures: int, classes: int) -> Tensor:
    """Return the right classes as int64 [pictures].

    Raises:
        ResnoiseError: labels that are not one of ``classes`` classes for each picture.
    """
    # By NumPy, because PyTorch would look a Series up by its index.
    values = _array(labels)
    if values.dtype.kind not in "iub":
        raise ResnoiseError(f"labels: {values.dtype} given, allowed: integers")
    if classes < 2:
        raise ResnoiseError(f"a network of {classes} logit given, needed: one for each class")
    right = torch.from_numpy(values.astype(np.int64))
    given = f"shape {tuple(right.shape)}"
    if right.shape == (pictures,):
        smallest, largest = int(right.min()), int(right.max())
        if smallest >= 0 and largest < classes:
            return right
        given = f"integers from {smallest} to {largest}"
    raise ResnoiseError(
        f"labels: {given} given, allowed: {pictures} integers from 0 to {classes - 1}"
    )


def _kind(given: object) -> str:
    """Return the name of a type for a message."""
    return type(given).__name__
