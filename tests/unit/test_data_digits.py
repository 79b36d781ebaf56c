"""The digits of scikit-learn as a source."""

import numpy as np
from sklearn.datasets import load_digits

from resnoise.data import digits
from resnoise.data.samples import check, digest


def test_digits_are_suitable_and_complete() -> None:
    samples = digits.read()
    check(samples, "digits")
    assert samples.class_names == tuple("0123456789")
    assert samples.train_images.shape == (1442, 32, 32, 3)
    assert samples.test_images.shape == (355, 32, 32, 3)
    for images, _ in samples.parts().values():
        assert np.array_equal(images[..., 0], images[..., 1])
        assert np.array_equal(images[..., 0], images[..., 2])


def test_a_fifth_of_each_class_is_for_testing() -> None:
    samples = digits.read()
    train, test = np.bincount(samples.train_labels), np.bincount(samples.test_labels)
    assert np.array_equal(train + test, np.bincount(load_digits().target))
    assert np.array_equal(test, (train + test) // 5)


def test_enlarging_keeps_range_and_shape() -> None:
    original = load_digits()
    enlarged = np.stack([digits._enlarge(picture) for picture in original.images[:100]])
    assert enlarged.min() == 0
    # Averages over the 4 x 4 pixels of each original pixel; the enlargement blurs.
    blocks = enlarged[..., 0].reshape(100, 8, 4, 8, 4).mean((2, 4))
    correlation = np.corrcoef(blocks.ravel(), original.images[:100].ravel())[0, 1]
    assert correlation > 0.98
    full = digits._enlarge(np.full((8, 8), 16.0))
    assert np.all(full == 255)


def test_digits_never_change() -> None:
    # The checksum that a user may put into the configuration.
    expected = "1489e01537f993baff34ebe9869eeafb8198f9ae0546be8f070343a40797fef1"
    assert digest(digits.read()) == expected
