"""Seeded stratified subsets."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resnoise.data.subset import random_order, stratified_subset
from resnoise.errors import ResnoiseError

NAMES = ("cat", "dog", "emu")
SEEDS = st.integers(0, 2**32)


@st.composite
def labels_and_count(draw) -> tuple[np.ndarray, int]:
    """Draw labels in any order and a number that every class has at least."""
    counts = draw(st.lists(st.integers(1, 30), min_size=3, max_size=3))
    labels = draw(st.permutations([k for k in range(3) for _ in range(counts[k])]))
    return np.array(labels, dtype=np.int64), draw(st.integers(1, min(counts)))


@settings(max_examples=60, deadline=None)
@given(labels_and_count(), SEEDS)
def test_subset_has_the_asked_number_of_each_class_in_order(drawn, seed: int) -> None:
    labels, per_class = drawn
    indices = stratified_subset(labels, per_class, NAMES, "train", seed)
    assert indices.dtype == np.int64
    assert np.all(np.diff(indices) > 0)
    assert np.bincount(labels[indices], minlength=3).tolist() == [per_class] * 3
    again = stratified_subset(labels, per_class, NAMES, "train", seed)
    assert np.array_equal(indices, again)


@settings(max_examples=60, deadline=None)
@given(labels_and_count(), SEEDS)
def test_smaller_subset_is_contained_in_larger(drawn, seed: int) -> None:
    labels, per_class = drawn
    large = stratified_subset(labels, per_class, NAMES, "test", seed)
    small = stratified_subset(labels, (per_class + 1) // 2, NAMES, "test", seed)
    assert set(small) <= set(large)


@settings(max_examples=60, deadline=None)
@given(labels_and_count(), SEEDS)
def test_choice_of_a_class_does_not_depend_on_the_others(drawn, seed: int) -> None:
    labels, per_class = drawn
    indices = stratified_subset(labels, per_class, NAMES, "train", seed)
    kept = np.flatnonzero(labels < 2)
    alone = stratified_subset(labels[kept], per_class, NAMES[:2], "train", seed)
    assert np.array_equal(kept[alone], indices[labels[indices] < 2])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 200), SEEDS)
def test_random_order_is_a_permutation(count: int, seed: int) -> None:
    assert sorted(random_order(count, seed)) == list(range(count))


def test_random_order_never_changes() -> None:
    assert random_order(8, 1, 2).tolist() == [5, 6, 3, 2, 1, 0, 4, 7]


def test_seeds_parts_and_classes_choose_differently() -> None:
    labels = np.repeat(np.arange(2), 50)
    names = NAMES[:2]
    base = stratified_subset(labels, 10, names, "train", 0)
    assert not np.array_equal(base, stratified_subset(labels, 10, names, "train", 1))
    assert not np.array_equal(base, stratified_subset(labels, 10, names, "test", 0))
    assert not np.array_equal(base[:10], base[10:] - 50)


def test_every_sample_is_chosen_about_equally_often() -> None:
    labels = np.zeros(20, dtype=np.int64)
    counts = np.zeros(20)
    for seed in range(400):
        counts[stratified_subset(labels, 5, ("only",), "train", seed)] += 1
    # Binomial with mean 100 and standard deviation 8.7.
    assert counts.min() > 65
    assert counts.max() < 135


def test_too_few_samples_name_class_count_and_asked() -> None:
    labels = np.array([0, 0, 1, 2, 2])
    with pytest.raises(
        ResnoiseError, match="test_per_class is 2, but class 'dog' has only 1 test pictures"
    ):
        stratified_subset(labels, 2, NAMES, "test", 0)


def test_numbers_out_of_range_are_named() -> None:
    labels = np.array([0, 1, 2])
    with pytest.raises(ResnoiseError, match="train_per_class is 0, allowed: 1 or more"):
        stratified_subset(labels, 0, NAMES, "train", 0)
    with pytest.raises(ResnoiseError, match="subset_seed is -1, allowed: 0 or more"):
        stratified_subset(labels, 1, NAMES, "train", -1)
