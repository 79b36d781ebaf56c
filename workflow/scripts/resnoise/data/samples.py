"""The form into which every source is read, and the conditions that all sources must meet."""

import dataclasses
import hashlib

import numpy as np
from numpy.typing import NDArray

from resnoise.errors import ResnoiseError

# Names of the channels of pictures by their number: which numbers there are, in their order.
CHANNEL_NAMES = {1: ("grey",), 3: ("red", "green", "blue")}


@dataclasses.dataclass(frozen=True, eq=False)
class Samples:
    """Labelled pictures for training and testing.

    Attributes:
        train_images: uint8 [N, H, W, C], the channels as ``CHANNEL_NAMES`` has them.
        train_labels: int64 [N], indices into ``class_names``.
        test_images: uint8 [M, H, W, C].
        test_labels: int64 [M].
        class_names: one name for each class.
    """

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]
    class_names: tuple[str, ...]

    def parts(self) -> dict[str, tuple[NDArray[np.uint8], NDArray[np.int64]]]:
        """Return images and labels of "train" and "test"."""
        return {
            "train": (self.train_images, self.train_labels),
            "test": (self.test_images, self.test_labels),
        }


def check(samples: Samples, origin: str) -> None:
    """Check what networks and training rely on.

    Args:
        samples: a source as it was read.
        origin: names the source in messages.

    Raises:
        ResnoiseError: wrong types or shapes, pictures of different or unsuitable size or with
            different channels, labels out of range, fewer than two classes, or a class without
            pictures in train or test.
    """
    names = samples.class_names
    if len(names) < 2 or len(set(names)) < len(names):
        raise ResnoiseError(f"{origin}: classes {list(names)}, needed are two or more different")
    for part, (images, labels) in samples.parts().items():
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in CHANNEL_NAMES:
            raise ResnoiseError(
                f"{origin}: {part} pictures are {images.dtype} {images.shape}, needed is "
                f"uint8 [N, H, W, {' or '.join(map(str, CHANNEL_NAMES))}]"
            )
        if labels.dtype != np.int64 or labels.shape != images.shape[:1]:
            raise ResnoiseError(
                f"{origin}: {part} labels are {labels.dtype} {labels.shape}, "
                f"needed is int64 [{len(images)}]"
            )
        outside = labels[(labels < 0) | (labels >= len(names))]
        if outside.size:
            raise ResnoiseError(
                f"{origin}: {part} label {outside[0]}, allowed are 0 to {len(names) - 1}"
            )
        check_size(f"{origin}: {part} pictures", width=images.shape[2], height=images.shape[1])
    for axis, what in ((1, "side"), (3, "channels:")):
        in_train, in_test = samples.train_images.shape[axis], samples.test_images.shape[axis]
        if in_train != in_test:
            raise ResnoiseError(
                f"{origin}: train pictures have {what} {in_train}, test pictures {in_test}; "
                "all need the same"
            )
    counts = {
        part: np.bincount(labels, minlength=len(names))
        for part, (_, labels) in samples.parts().items()
    }
    for label, name in enumerate(names):
        in_train, in_test = counts["train"][label], counts["test"][label]
        if in_train == 0 or in_test == 0:
            raise ResnoiseError(
                f"{origin}: class {name!r} has {in_train} pictures in train and {in_test} in test, "
                "both need at least one"
            )


def check_size(what: str, width: int, height: int) -> None:
    """Raise ResnoiseError unless pictures of this size halve twice and are square."""
    if width != height or width == 0 or width % 4 != 0:
        raise ResnoiseError(
            f"{what}: {width} x {height} pixels, needed are squares with a side divisible by 4"
        )


def digest(samples: Samples) -> str:
    """Return a SHA-256 over class names, types, shapes and bytes of all four arrays."""
    state = hashlib.sha256(repr(samples.class_names).encode())
    for part, (images, labels) in samples.parts().items():
        for array in (images, labels):
            state.update(f"\n{part} {array.dtype.str} {array.shape}\n".encode())
            state.update(np.ascontiguousarray(array).data)
    return state.hexdigest()
