"""The handwritten digits that come with scikit-learn: a small data set without a download."""

import numpy as np
from sklearn.datasets import load_digits

from resnoise.data.samples import Samples
from resnoise.data.subset import random_order

_SPLIT_SEED = 0
_TEST_SHARE = 5  # One in five.


def read() -> Samples:
    """Return the 1797 digits as they are: grey pictures of 8 x 8 pixels.

    Their values from 0 to 16 are scaled to 0 ... 255. A fifth of each class, always the same, is
    for testing.
    """
    digits = load_digits()
    labels = digits.target.astype(np.int64)
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., np.newaxis]
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
