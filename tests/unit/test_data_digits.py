"""The digits of scikit-learn as a source."""

import numpy as np
from sklearn.datasets import load_digits

from resnoise.data import digits
from resnoise.data.samples import check, digest


def test_digits_are_suitable_and_complete() -> None:
    samples = digits.read()
    check(samples, "digits")
    assert samples.class_names == tuple("0123456789")
    assert samples.train_images.shape == (1442, 8, 8, 1)
    assert samples.test_images.shape == (355, 8, 8, 1)


def test_a_fifth_of_each_class_is_for_testing() -> None:
    samples = digits.read()
    train, test = np.bincount(samples.train_labels), np.bincount(samples.test_labels)
    assert np.array_equal(train + test, np.bincount(load_digits().target))
    assert np.array_equal(test, (train + test) // 5)


def test_pictures_are_the_originals_on_a_scale_to_255() -> None:
    samples = digits.read()
    kept = np.concatenate([images for images, _ in samples.parts().values()])[..., 0]
    original = load_digits().images
    assert {picture.tobytes() for picture in np.rint(kept * (16 / 255)).astype(np.uint8)} == {
        picture.tobytes() for picture in original.astype(np.uint8)
    }
    assert (kept.min(), kept.max()) == (0, 255)


def test_digits_never_change() -> None:
    # The checksum that a user may put into the configuration.
    expected = "2b63459db4cb6a6a30e2ac91f453625d24850bd64b59f66a5e7d0cb1e4439878"
    assert digest(digits.read()) == expected
