"""Mini-batches: crops and flips against brute force, order, and normalisation."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from resnoise.training import batches as training_batches
from resnoise.training.batches import Normalisation, TrainingBatches

CPU = torch.device("cpu")


def unchanged(pictures: Tensor) -> Tensor:
    """Stand in for the normalisation, so that pixels can be compared."""
    return pictures


def random_pictures(count: int, height: int = 5, width: int = 4, channels: int = 3) -> Tensor:
    numbers = torch.Generator().manual_seed(count)
    shape = (count, height, width, channels)
    return torch.randint(1, 256, shape, generator=numbers, dtype=torch.uint8)


def batches(
    pictures: Tensor, normalise: Callable[[Tensor], Tensor] = unchanged, **changes: Any
) -> TrainingBatches:
    """Return the batches of pictures, each labelled with its own number."""
    options = {"batch_size": 3, "crop_padding": 2, "horizontal_flip": True, "seed": 1, **changes}
    return TrainingBatches(pictures, torch.arange(len(pictures)), normalise, **options)


def epoch(of: TrainingBatches, number: int = 1) -> tuple[Tensor, list[int]]:
    """Return all pictures and labels of an epoch, one after the other."""
    pictures, labels = zip(*of.epoch(number), strict=True)
    return torch.cat(pictures), torch.cat(labels).tolist()


def find(crop: Tensor, picture: Tensor, padding: int, flip: bool) -> list[tuple[int, int, bool]]:
    """Return every (row, column, flipped) at which the padded picture shows ``crop``."""
    height, width, _ = picture.shape
    padded = np.pad(picture.numpy(), ((padding, padding), (padding, padding), (0, 0)))
    return [
        (row, column, mirrored)
        for row in range(2 * padding + 1)
        for column in range(2 * padding + 1)
        for mirrored in ((False, True) if flip else (False,))
        if np.array_equal(
            padded[row : row + height, column : column + width][:, :: -1 if mirrored else 1],
            crop.numpy(),
        )
    ]


@given(
    count=st.integers(1, 9),
    batch_size=st.integers(1, 11),
    size=st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 3)),
    padding=st.integers(0, 3),
    flip=st.booleans(),
    seed=st.integers(0, 2**31 - 1),
    number=st.integers(1, 300),
)
def test_every_picture_comes_once_an_epoch_as_a_crop_of_itself_padded(
    count: int,
    batch_size: int,
    size: tuple[int, int, int],
    padding: int,
    flip: bool,
    seed: int,
    number: int,
) -> None:
    pictures = random_pictures(count, *size)
    of = batches(
        pictures, batch_size=batch_size, crop_padding=padding, horizontal_flip=flip, seed=seed
    )
    crops, labels = epoch(of, number)
    assert sorted(labels) == list(range(count))
    for crop, label in zip(crops, labels, strict=True):
        assert find(crop, pictures[label], padding, flip)


@given(count=st.integers(1, 30), batch_size=st.integers(1, 32))
def test_only_the_last_batch_is_smaller(count: int, batch_size: int) -> None:
    of = batches(random_pictures(count), batch_size=batch_size)
    sizes = [len(labels) for _, labels in of.epoch(1)]
    full, rest = divmod(count, batch_size)
    assert sizes == [batch_size] * full + [rest] * (rest > 0)
    assert len(of) == len(sizes)


@pytest.mark.parametrize("values", [1, 200, 10**6])
def test_how_many_batches_are_made_together_does_not_matter(
    values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = batches(random_pictures(20))
    expected = [*of.epoch(3)]
    monkeypatch.setitem(training_batches._VALUES_TOGETHER, "cpu", values)
    for one, two in zip(of.epoch(3), expected, strict=True):
        assert torch.equal(one[0], two[0]) and torch.equal(one[1], two[1])


def test_all_crops_and_both_directions_are_equally_frequent() -> None:
    pictures = random_pictures(40, 6, 6)
    of = batches(pictures, batch_size=40, crop_padding=1)
    places: Counter[tuple[int, int, bool]] = Counter()
    for number in range(1, 51):
        crops, labels = epoch(of, number)
        for crop, label in zip(crops, labels, strict=True):
            (place,) = find(crop, pictures[label], 1, flip=True)
            places[place] += 1
    # Five standard deviations of a binomial count.
    mean = 40 * 50 / 18
    assert len(places) == 18
    assert all(abs(count - mean) < 5 * mean**0.5 for count in places.values())
    flipped = sum(count for (_, _, mirrored), count in places.items() if mirrored)
    assert abs(flipped - 1000) < 5 * 500**0.5


def test_the_crop_of_a_picture_does_not_follow_from_its_place_in_the_order() -> None:
    # Numbers from one generator would make both the same remainder in every epoch.
    pictures = random_pictures(25)
    of = batches(pictures, batch_size=1)
    equal = 0
    for number in range(1, 201):
        crop, label = next(of.epoch(number))
        ((row, _, _),) = find(crop[0], pictures[int(label)], 2, flip=True)
        equal += int(label) % 5 == row
    # Five standard deviations around one in five.
    assert abs(equal - 40) < 5 * 32**0.5


def test_crop_and_flip_of_a_picture_are_drawn_anew_in_each_epoch() -> None:
    pictures = random_pictures(1, 8, 8)
    of = batches(pictures, crop_padding=3)
    crops = {tuple(epoch(of, number)[0].flatten().tolist()) for number in range(1, 11)}
    assert len(crops) > 5


def test_without_padding_and_flip_the_pictures_are_only_shuffled() -> None:
    pictures = random_pictures(20)
    of = batches(pictures, crop_padding=0, horizontal_flip=False)
    orders = []
    for number in (1, 2):
        shuffled, labels = epoch(of, number)
        assert torch.equal(shuffled, pictures[labels])
        orders.append(labels)
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(20))
    assert list(range(20)) != orders[0] != orders[1]


@given(
    seed=st.integers(0, 2**31 - 1),
    number=st.integers(1, 300),
    batch_size=st.integers(1, 20),
    padding=st.integers(0, 3),
    flip=st.booleans(),
    channels=st.integers(1, 3),
)
def test_the_order_depends_on_seed_and_epoch_only(
    seed: int, number: int, batch_size: int, padding: int, flip: bool, channels: int
) -> None:
    usual = epoch(batches(random_pictures(17), seed=seed), number)[1]
    torch.rand(3)
    of = batches(
        random_pictures(17, 3, 7, channels),
        batch_size=batch_size,
        crop_padding=padding,
        horizontal_flip=flip,
        seed=seed,
    )
    assert epoch(of, number)[1] == usual


@given(batch_size=st.integers(1, 20), flip=st.booleans())
def test_crops_depend_on_seed_and_epoch_only(batch_size: int, flip: bool) -> None:
    pictures = random_pictures(17)
    usual, _ = epoch(batches(pictures, horizontal_flip=flip), 5)
    of = batches(pictures, horizontal_flip=flip, batch_size=batch_size)
    interrupted = of.epoch(4)
    next(interrupted)
    assert torch.equal(epoch(of, 5)[0], usual)
    assert torch.equal(epoch(of, 5)[0], usual)


def test_another_seed_or_epoch_gives_another_order() -> None:
    pictures = random_pictures(30)
    orders = {
        tuple(epoch(batches(pictures, seed=seed), number)[1])
        for seed in (0, 1, 11)
        for number in (1, 2, 3, 11)
    }
    assert len(orders) == 12


def test_flipping_keeps_order_and_crops() -> None:
    pictures = random_pictures(20, 6, 6)
    flipped, straight = (epoch(batches(pictures, horizontal_flip=flip)) for flip in (True, False))
    assert flipped[1] == straight[1]
    turned = [not torch.equal(one, two) for one, two in zip(flipped[0], straight[0], strict=True)]
    assert 0 < sum(turned) < 20
    for one, two, turn in zip(flipped[0], straight[0], turned, strict=True):
        assert torch.equal(one, two.flip(1) if turn else two)


@pytest.mark.parametrize(("padding", "flip"), [(0, False), (0, True), (2, False), (2, True)])
def test_the_uint8_pictures_stay_as_they_are_whatever_happens_to_a_batch(
    padding: int, flip: bool
) -> None:
    pictures = random_pictures(8)
    before = pictures.clone()
    of = batches(pictures, crop_padding=padding, horizontal_flip=flip)
    first, _ = epoch(of)
    for batch, _ in of.epoch(1):
        batch.zero_()
    assert torch.equal(pictures, before)
    assert torch.equal(epoch(of)[0], first)


def test_batches_are_normalised_crops_with_their_labels() -> None:
    pictures, mean, std = random_pictures(10), np.full(3, 0.4), np.full(3, 0.2)
    normalise = Normalisation(mean, std, CPU, torch.float64)
    raw, labels = epoch(batches(pictures))
    inputs, same_labels = epoch(batches(pictures, normalise))
    assert same_labels == labels
    expected = (raw.double() / 255 - 0.4) / 0.2
    torch.testing.assert_close(inputs, expected.permute(0, 3, 1, 2))


@given(
    mean=st.lists(st.floats(0, 1), min_size=3, max_size=3),
    std=st.lists(st.floats(0.01, 0.5), min_size=3, max_size=3),
)
def test_normalisation_is_value_minus_mean_over_deviation(
    mean: list[float], std: list[float]
) -> None:
    pictures = random_pictures(2)
    before = pictures.clone()
    x = Normalisation(np.array(mean), np.array(std), CPU, torch.float64)(pictures)
    assert x.shape == (2, 3, 5, 4)
    for channel in range(3):
        expected = (before[..., channel].double() / 255 - mean[channel]) / std[channel]
        torch.testing.assert_close(x[:, channel], expected, rtol=1e-12, atol=1e-11)
    assert torch.equal(pictures, before)


def test_normalised_training_pictures_have_mean_0_and_deviation_1() -> None:
    pictures = random_pictures(30)
    scaled = pictures.numpy() / 255
    normalise = Normalisation(scaled.mean((0, 1, 2)), scaled.std((0, 1, 2)), CPU, torch.float64)
    x = normalise(pictures)
    torch.testing.assert_close(x.mean((0, 2, 3)), torch.zeros(3).double(), rtol=0, atol=1e-12)
    torch.testing.assert_close(x.std((0, 2, 3), correction=0), torch.ones(3).double())


def test_a_constant_channel_is_only_centred() -> None:
    pictures = torch.full((1, 2, 2, 3), 51, dtype=torch.uint8)
    normalise = Normalisation(np.array([0.2, 0, 0.1]), np.zeros(3), CPU, torch.float64)
    expected = torch.tensor([0, 0.2, 0.1], dtype=torch.float64)
    torch.testing.assert_close(normalise(pictures)[0, :, 1, 1], expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_inputs_have_the_type_of_the_weights_and_lie_channels_last(dtype: torch.dtype) -> None:
    normalise = Normalisation(np.full(3, 0.5), np.full(3, 0.2), CPU, dtype)
    of = batches(random_pictures(6), normalise)
    for inputs, labels in of.epoch(1):
        assert inputs.dtype == dtype
        assert inputs.shape == (3, 3, 5, 4)
        assert inputs.is_contiguous(memory_format=torch.channels_last)
        assert labels.dtype == torch.int64
