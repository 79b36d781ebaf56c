"""Random numbers: a generator for each purpose, so that no purpose affects another's numbers.

Two networks with the same seed see the same mini-batches in the same order with the same
augmentation, whatever their architecture, because these depend on seed and epoch only.
"""

import hashlib

import torch


def generator(seed: int, purpose: str, epoch: int = 0) -> torch.Generator:
    """Return the generator for one purpose, such as "weights", "order" or "augmentation".

    It always runs on the CPU, so that its numbers do not depend on the device.
    """
    digest = hashlib.sha256(f"{seed}/{purpose}/{epoch}".encode()).digest()
    # manual_seed takes 64 bits; leaving one out keeps the seed positive as a signed integer.
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
