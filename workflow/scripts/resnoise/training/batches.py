"""Mini-batches from a data set that stays on the device, augmented a whole batch at a time.

Order and augmentation of an epoch depend on (seed, epoch) only. So all networks with the same seed
see the same pictures in the same order, and a resumed run sees those of an uninterrupted one.
"""

import math
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from resnoise.seeds import generator

# Values of pictures that are made inputs together: on a CPU few enough for its cache, on a GPU so
# many that launching the operations takes no time beside the training steps.
_VALUES_TOGETHER = {"cpu": 1 << 16, "cuda": 1 << 24}


class Normalisation:
    """Per-channel standardisation of uint8 pictures with the training set's mean and deviation."""

    def __init__(
        self, mean: np.ndarray, std: np.ndarray, device: torch.device, dtype: torch.dtype
    ) -> None:
        """Take mean and deviation [C] on the 0..1 scale; a constant channel is only centred."""
        deviation = np.where(std > 0, std, 1.0)
        self.scale = torch.tensor(1 / (255 * deviation), dtype=dtype, device=device)
        self.shift = torch.tensor(-mean / deviation, dtype=dtype, device=device)
        self.dtype = dtype

    def __call__(self, pictures: Tensor) -> Tensor:
        """Map uint8 [B, H, W, C] to standardised [B, C, H, W] in channels-last memory."""
        x = pictures.to(self.dtype).mul_(self.scale).add_(self.shift)
        return x.permute(0, 3, 1, 2)


class TrainingBatches:
    """Shuffled, augmented mini-batches: random crop with padding, then random horizontal flip.

    Pictures are padded with black before standardisation, as torchvision's ``RandomCrop`` does.
    """

    def __init__(
        self,
        pictures: Tensor,
        labels: Tensor,
        normalise: Normalisation,
        *,
        batch_size: int,
        crop_padding: int,
        horizontal_flip: bool,
        seed: int,
    ) -> None:
        """Pad and keep the pictures.

        Args:
            pictures: uint8 [N, H, W, C] on the device.
            labels: int64 [N] on the device.
            normalise: converts uint8 pictures to network inputs.
            batch_size: pictures in a batch; the last batch of an epoch may be smaller.
            crop_padding: black pixels added on every side before cropping; 0 for no cropping.
            horizontal_flip: mirror each picture with probability one half.
            seed: seed of order and augmentation.
        """
        self.labels = labels
        self.normalise = normalise
        self.batch_size = batch_size
        self.horizontal_flip = horizontal_flip
        self.seed = seed
        self.count, self.height, self.width, self.channels = pictures.shape
        self.offsets = 2 * crop_padding + 1
        p = crop_padding
        padded = F.pad(pictures, (0, 0, p, p, p, p)).contiguous()
        picture, row, pixel, channel = padded.stride()
        # Every crop of every picture as a view: windows[i, y, x] is picture i from row y, column x.
        self.windows = padded.as_strided(
            (self.count, self.offsets, self.offsets, self.height, self.width * self.channels),
            (picture, row, pixel, row, channel),
        )

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return math.ceil(self.count / self.batch_size)

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs [B, C, H, W] and labels [B] of every batch of ``epoch`` (from 1)."""
        device = self.labels.device
        order = torch.randperm(self.count, generator=generator(self.seed, "order", epoch))
        numbers = generator(self.seed, "augmentation", epoch)
        rows = torch.randint(self.offsets, (self.count,), generator=numbers)
        columns = torch.randint(self.offsets, (self.count,), generator=numbers)
        flips = torch.rand(self.count, generator=numbers) < 0.5
        # Several batches are made at a time: each call of PyTorch takes longer than its work.
        values = self.batch_size * self.height * self.width * self.channels
        together = max(1, _VALUES_TOGETHER[device.type] // values) * self.batch_size
        plan = [
            torch.split(tensor.to(device), together) for tensor in (order, rows, columns, flips)
        ]
        for chosen, y, x, flip in zip(*plan, strict=True):
            pictures = self.windows[chosen, y, x]
            pictures = pictures.view(-1, self.height, self.width, self.channels)
            if self.horizontal_flip:
                pictures = torch.where(flip[:, None, None, None], pictures.flip(2), pictures)
            inputs, labels = self.normalise(pictures), self.labels[chosen]
            yield from zip(
                torch.split(inputs, self.batch_size),
                torch.split(labels, self.batch_size),
                strict=True,
            )
