"""The handwritten digits that come with scikit-learn: a small data set without a download."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from resnoise.data.samples import Samples
from resnoise.data.subset import random_order

_SIDE = 32
_SPLIT_SEED = 0
_TEST_SHARE = 5  # One in five.


def read() -> Samples:
    """Return the 1797 digits as RGB pictures of 32 x 32 pixels.

    The originals have 8 x 8 pixels with values from 0 to 16; they are enlarged bilinearly, and
    all three channels are equal. A fifth of each class, always the same, is for testing.
    """
    digits = load_digits()
    labels = digits.target.astype(np.int64)
    images = np.stack([_enlarge(picture) for picture in digits.images])
    is_test = np.zeros(len(labels), dtype=bool)
    for label in range(10):
        members = np.flatnonzero(labels == label)
        order = random_order(len(members), _SPLIT_SEED, label)
        is_test[members[order[: len(members) // _TEST_SHARE]]] = True
    return Samples(
        train_images=images[~is_test],
        train_labels=labels[~is_test],
        test_images=images[is_test],
        test_labels=labels[is_test],
        class_names=tuple(str(label) for label in range(10)),
    )


def _enlarge(picture: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return uint8 [32, 32, 3] of a picture [8, 8] with values from 0 to 16."""
    grey = Image.fromarray(np.rint(picture * (255 / 16)).astype(np.uint8))
    enlarged = np.asarray(grey.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR))
    return np.repeat(enlarged[:, :, np.newaxis], 3, axis=2)
