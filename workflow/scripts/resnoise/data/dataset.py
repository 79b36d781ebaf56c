"""The prepared data set: one file that all training and evaluation reads."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnoise.data.samples import CHANNEL_NAMES, Samples, check
from resnoise.errors import ResnoiseError, quoted
from resnoise.storage import tensorfile

# What makes network inputs of pixel values from 0 to 1: minus the channel's mean in both cases, and
# divided by its standard deviation if standardised.
SCALINGS = ("standardised", "centred")

_KIND = "data set"
_CHUNK = 1000


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset(Samples):
    """Labelled pictures as ``load`` returns them, memory-mapped.

    Attributes:
        channel_mean: float64 [C], mean of the training pictures' channels on the scale 0 ... 1.
        channel_std: float64 [C], what inputs are divided by: their standard deviations on the same
            scale, none of them 0, or 1 if the pictures are only centred.
        source_digest: SHA-256 of the source that the pictures came from.
        digest: SHA-256 of this data set: pictures, labels, class names, ``source_digest``.
    """

    channel_mean: NDArray[np.float64]
    channel_std: NDArray[np.float64]
    source_digest: str
    digest: str


def save(
    path: Path,
    samples: Samples,
    source_digest: str,
    scaling: str = "standardised",
    spec: str | None = None,
) -> str:
    """Write a prepared data set atomically and return its digest.

    Args:
        path: file to write.
        samples: what ``resnoise.data.prepare.prepare`` returned.
        source_digest: SHA-256 of the source.
        scaling: one of ``SCALINGS``.
        spec: the DataSpec that they were prepared from, as JSON, for ``load`` to compare.

    Raises:
        ResnoiseError: there is no such scaling, or a channel of the training pictures has the same
            value everywhere.
    """
    if scaling not in SCALINGS:
        raise ResnoiseError(f"scaling: {scaling!r} given, allowed: {', '.join(SCALINGS)}")
    mean, std = channel_statistics(samples.train_images)
    if scaling == "centred":
        std = np.ones_like(std)
    arrays: dict[str, np.ndarray] = {"channel_mean": mean, "channel_std": std}
    for part, (images, labels) in samples.parts().items():
        arrays[f"{part}_images"] = images
        arrays[f"{part}_labels"] = labels
    metadata = {
        "kind": _KIND,
        "class_names": list(samples.class_names),
        "source_digest": source_digest,
        # With the digest of the source, whether it was asked for or not: it is the same data set.
        "spec": spec and {**json.loads(spec), "sha256": source_digest},
    }
    return tensorfile.save(path, arrays, metadata)


def load(path: Path, expected: str | None = None) -> Dataset:
    """Return the data set that ``save`` wrote.

    Args:
        path: the file.
        expected: the DataSpec that it should have been prepared from, as JSON; None for any.
            Without the SHA-256 of the source, that may be any.

    Raises:
        ResnoiseError: the file is missing or damaged, is not a prepared data set, or was prepared
            from something else than ``expected``.
    """
    arrays, metadata, digest = tensorfile.load(path)
    if metadata.get("kind") != _KIND:
        raise ResnoiseError(f"{path}: not a prepared data set")
    if expected is not None:
        _compare(path, metadata.get("spec") or {}, json.loads(expected))
    try:
        dataset = Dataset(
            **arrays,
            class_names=tuple(metadata["class_names"]),
            source_digest=metadata["source_digest"],
            digest=digest,
        )
    except (KeyError, TypeError) as error:
        raise ResnoiseError(f"{path}: not a complete data set ({quoted(error)})") from error
    check(dataset, str(path))
    return dataset


def _compare(path: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raise ResnoiseError if a data set was prepared from something else than wanted."""
    different = [
        f"{name} {found.get(name)} instead of {value}"
        for name, value in wanted.items()
        if found.get(name) != value and (name != "sha256" or value is not None)
    ]
    if different:
        raise ResnoiseError(
            f"{path}: other pictures than those asked for, with {', '.join(different)}; delete it "
            "and rerun"
        )


def channel_statistics(
    images: NDArray[np.uint8],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and population standard deviation of each channel on the scale 0 ... 1.

    The sums are exact integers, so that the results are the same on every machine.

    Args:
        images: uint8 [N, H, W, C] with a number of channels of ``CHANNEL_NAMES``.

    Returns:
        Two arrays, float64 [C].

    Raises:
        ResnoiseError: a channel has the same value everywhere, so that it cannot be normalised.
    """
    # How often each value occurs in each channel. In chunks, because bincount makes int64 copies.
    names = CHANNEL_NAMES[images.shape[3]]
    counts = np.zeros((len(names), 256), dtype=np.int64)
    for start in range(0, len(images), _CHUNK):
        for channel in range(len(names)):
            values = images[start : start + _CHUNK, :, :, channel].ravel()
            counts[channel] += np.bincount(values, minlength=256)
    means, deviations = [], []
    for channel, name in enumerate(names):
        histogram = counts[channel].tolist()
        total = sum(histogram)
        first = sum(value * count for value, count in enumerate(histogram))
        second = sum(value * value * count for value, count in enumerate(histogram))
        if second * total == first * first:
            raise ResnoiseError(
                f"the {name} channel of the training pictures is {first // total} everywhere, "
                "needed are at least two different values"
            )
        means.append(first / (255 * total))
        deviations.append(math.sqrt(second * total - first * first) / (255 * total))
    return np.array(means), np.array(deviations)
