"""Long measurements over many pictures, which continue where they were after a stop.

A seed chooses the pictures. A measurement keeps its results so far in arrays whose size does not
depend on the batches, and updates them batch by batch. From time to time they are saved beside the
output, so that a killed measurement continues with the pictures that are left.
"""

import contextlib
import datetime
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from resnoise.devices import Computing
from resnoise.errors import ResnoiseError
from resnoise.seeds import generator
from resnoise.specs.metrics import SampledSpec
from resnoise.storage import tensorfile
from resnoise.trained.run import Measurable

_log = logging.getLogger(__name__)

SECONDS_BETWEEN_SAVES = 30.0
# Larger batches do not fit into the caches, and the system has to provide new memory for their
# activations at each layer, which takes as long as the convolution itself.
LARGEST_BATCH = 64


def choose_samples(available: int, samples: int | None, seed: int) -> NDArray[np.int64]:
    """Return the indices of the pictures to measure, in increasing order.

    Args:
        available: pictures in the training set.
        samples: how many to draw without replacement; None for all.
        seed: decides which. With the same seed, more pictures include those of a smaller number.

    Raises:
        ResnoiseError: ``samples`` exceeds ``available``.
    """
    if samples is None:
        return np.arange(available)
    if samples > available:
        raise ResnoiseError(
            f"samples: {samples} given, allowed: at most the {available} training pictures"
        )
    order = torch.randperm(available, generator=generator(seed, "measured samples"))
    return np.sort(order[:samples].numpy())


def activation_bytes(network: nn.Module, inputs: Tensor) -> int:
    """Return the total size in bytes of the outputs of all convolutions and linear layers.

    Args:
        network: a network in evaluation mode.
        inputs: [B, C, H, W].
    """
    numbers = 0

    def count(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal numbers
        numbers += output.numel()

    leaves = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    with contextlib.ExitStack() as hooks, torch.no_grad():
        for leaf in leaves:
            hooks.enter_context(leaf.register_forward_hook(count))
        network(inputs)
    return numbers * inputs.element_size()


class Measurement:
    """Networks of a run and the training pictures to measure them on.

    Attributes:
        networks: the networks to measure, by label of their weights, in evaluation mode.
        samples: indices of the chosen pictures in the training set, in increasing order.
        checkpoint: file beside the output, to be removed when the output is written.
    """

    def __init__(
        self,
        run: Measurable,
        spec: SampledSpec,
        output: Path,
        computing: Computing,
    ) -> None:
        """Set up the device and build the networks.

        Args:
            run: the run, or a network trained elsewhere.
            spec: which pictures and snapshots.
            output: the file that the measurement will be written to.
            computing: where to compute; a checkpoint of another program is refused.

        Raises:
            ResnoiseError: no such device, or more pictures are wanted than the training set has.
        """
        self._device = computing.set_up()
        self._memory_mb = computing.memory_mb
        self._images = run.dataset.train_images
        self._normalise = run.normalisation(self._device)
        self._identity = {**run.digests, "spec": spec.to_json(), "code": computing.code}
        labels = run.usable(spec.every_snapshot)
        self.networks = {label: run.network(label, self._device) for label in labels}
        self.samples = choose_samples(len(self._images), spec.samples, spec.sample_seed)
        self.checkpoint = output.with_name(f"{output.stem}_resume.safetensors")

    def example(self) -> Tensor:
        """Return the network inputs [2, C, H, W] of two training pictures, to try a network on."""
        return self._inputs(slice(2))

    def batches(
        self,
        state: Mapping[str, NDArray[np.float64]],
        picture_bytes: Callable[[str, Tensor], float],
        largest: int | None = None,
    ) -> Iterator[tuple[slice, Tensor]]:
        """Yield the chosen pictures batch by batch; see ``in_batches`` for ``state``.

        Args:
            state: arrays with all results so far; the caller updates them for each batch.
            picture_bytes: returns the bytes that measuring one picture takes, given the label of
                the network and the picture's input [1, C, H, W].
            largest: largest number of pictures in a batch, instead of ``LARGEST_BATCH``.

        Yields:
            The positions in ``samples`` of a batch, and its inputs [B, C, H, W] without
            augmentation.
        """
        if not self.networks:
            return
        one = self._inputs(slice(1))
        need = max(picture_bytes(label, one) for label in self.networks)
        size = batch_size(need, self._memory_mb, largest)
        count = len(self.samples)
        for part in in_batches(state, count, size, self.checkpoint, self._identity):
            yield part, self._inputs(self.samples[part])

    def _inputs(self, chosen: slice | NDArray[np.int64]) -> Tensor:
        """Return the network inputs [B, C, H, W] of some training pictures."""
        return self._normalise(torch.from_numpy(self._images[chosen]).to(self._device))


def batch_size(picture_bytes: float, memory_mb: int, largest: int | None = None) -> int:
    """Return how many pictures of so many bytes to measure at once: ``LARGEST_BATCH`` at most."""
    return int(min(largest or LARGEST_BATCH, max(1, memory_mb * 1e6 // picture_bytes)))


def in_batches(
    state: Mapping[str, NDArray[np.float64]],
    count: int,
    size: int,
    checkpoint: Path,
    identity: Mapping[str, str],
) -> Iterator[slice]:
    """Yield slices of ``range(count)``; the caller updates ``state`` for each before the next one.

    If there is a checkpoint of the same measurement, it is first read into ``state``, and the
    pictures that it covers are skipped. Progress is a bar on a terminal, otherwise a line in the
    log at each save. The caller removes the checkpoint when the output is written.

    Args:
        state: arrays with all results so far, updated in place.
        count: number of pictures.
        size: pictures in a batch.
        checkpoint: file beside the output.
        identity: what the state depends on; a checkpoint with another identity is refused.
    """
    done = _restore(state, checkpoint, identity)
    first, start = done, time.monotonic()
    saved = start
    bar = tqdm(
        total=count, initial=done, unit="picture", disable=not sys.stderr.isatty(), leave=False
    )
    with bar:
        while done < count:
            stop = min(done + size, count)
            yield slice(done, stop)
            bar.update(stop - done)
            done = stop
            now = time.monotonic()
            if done < count and now - saved >= SECONDS_BETWEEN_SAVES:
                tensorfile.save(checkpoint, state, {"identity": dict(identity), "done": done})
                saved = now
                left = round((now - start) * (count - done) / (done - first))
                _log.info(
                    "%d of %d pictures, ETA %s", done, count, datetime.timedelta(seconds=left)
                )


def _restore(
    state: Mapping[str, NDArray[np.float64]], checkpoint: Path, identity: Mapping[str, str]
) -> int:
    """Read a checkpoint into ``state`` and return how many pictures it covers, 0 without one."""
    if not checkpoint.exists():
        return 0
    try:
        arrays, metadata, _ = tensorfile.load(checkpoint)
    except ResnoiseError as error:
        _log.warning("checkpoint refused, starting over: %s", error)
        return 0
    if metadata.get("identity") != dict(identity):
        _log.warning(
            "checkpoint %s refused, starting over: it belongs to another measurement", checkpoint
        )
        return 0
    for name, array in state.items():
        array[...] = arrays[name]
    done = int(metadata["done"])
    _log.info("continuing after %d pictures", done)
    return done
