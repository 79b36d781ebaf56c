"""Seeded random choices that are the same with every version of NumPy."""

import numpy as np
from numpy.typing import NDArray

from resnoise.errors import ResnoiseError


def random_order(count: int, *seed: int) -> NDArray[np.int64]:
    """Return a permutation of 0 ... count - 1 as int64 [count].

    NumPy promises to keep the raw output of its bit generators, but not what its ``Generator``
    derives from it. So the indices are sorted by raw 64-bit numbers.
    """
    keys = np.random.PCG64(np.random.SeedSequence(seed)).random_raw(count)
    return np.argsort(keys, kind="stable").astype(np.int64)


def stratified_subset(
    labels: NDArray[np.int64], per_class: int, class_names: tuple[str, ...], part: str, seed: int
) -> NDArray[np.int64]:
    """Choose ``per_class`` samples of every class at random.

    The choices for different classes and parts are independent of each other, and a smaller
    choice is contained in every larger one with the same seed.

    Args:
        labels: int64 [N].
        per_class: how many of each class, 1 or more.
        class_names: the names of the classes, whose number sets the range of ``labels``.
        part: "train" or "test".
        seed: 0 or more.

    Returns:
        Increasing indices into ``labels``, int64 [per_class * classes].

    Raises:
        ResnoiseError: a class has too few samples, or a number is out of its range.
    """
    if per_class < 1:
        raise ResnoiseError(f"{part}_per_class is {per_class}, allowed: 1 or more")
    if seed < 0:
        raise ResnoiseError(f"subset_seed is {seed}, allowed: 0 or more")
    chosen = []
    for label, name in enumerate(class_names):
        members = np.flatnonzero(labels == label)
        if len(members) < per_class:
            raise ResnoiseError(
                f"{part}_per_class is {per_class}, but class {name!r} has only {len(members)} "
                f"{part} pictures"
            )
        order = random_order(len(members), seed, int(part == "test"), label)
        chosen.append(members[order[:per_class]])
    return np.sort(np.concatenate(chosen)).astype(np.int64)
