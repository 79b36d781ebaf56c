"""From a source to checked samples: the steps that all sources of ``resnoise.registry`` share."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resnoise import registry
from resnoise.data import samples
from resnoise.data.samples import Samples
from resnoise.data.subset import stratified_subset
from resnoise.errors import ResnoiseError
from resnoise.specs.run import DataSpec
from resnoise.storage.checksum import check_sha256, compare


def prepare(spec: DataSpec, source: Path | None) -> tuple[Samples, str]:
    """Read and check a source, and choose the subset that ``spec`` asks for.

    Args:
        spec: which source, which part of it, and optionally its SHA-256: that of the file, the
            ``tree_digest`` of the folder, or for built-in sources the digest of all their arrays
            (``resnoise.data.samples.digest``).
        source: the file or folder; None for built-in sources.

    Returns:
        The samples and the SHA-256 of the source.

    Raises:
        ResnoiseError: unknown source, a path that is missing or not wanted, another SHA-256,
            contents that are damaged or unsuitable, or too few pictures of a class.
    """
    has_path = bool(registry.source(spec.source).path)
    read = registry.load_source(spec.source).read
    if has_path and source is None:
        raise ResnoiseError(f"source {spec.source!r} needs the path of a file or folder")
    if source is not None and not has_path:
        raise ResnoiseError(f"source {spec.source!r} is built in and has no path, not {source}")
    if source is not None:
        # Before reading, so that no code touches a file that is not the expected one.
        source_digest = check_sha256(source, spec.sha256)
        complete = read(source)
        origin = str(source)
    else:
        complete = read()
        source_digest = samples.digest(complete)
        compare(spec.source, source_digest, spec.sha256)
        origin = spec.source
    samples.check(complete, origin)
    return _subset(complete, spec), source_digest


def _subset(complete: Samples, spec: DataSpec) -> Samples:
    """Return the samples that ``spec`` asks for, in their original order."""

    def indices(part: str, labels: NDArray[np.int64], per_class: int | None) -> NDArray[np.int64]:
        if per_class is None:
            return np.arange(len(labels))
        return stratified_subset(labels, per_class, complete.class_names, part, spec.subset_seed)

    train = indices("train", complete.train_labels, spec.train_per_class)
    test = indices("test", complete.test_labels, spec.test_per_class)
    return Samples(
        train_images=complete.train_images[train],
        train_labels=complete.train_labels[train],
        test_images=complete.test_images[test],
        test_labels=complete.test_labels[test],
        class_names=complete.class_names,
    )
