"""Random numbers: one generator for each purpose, so that none depends on what another drew.

Two networks with one seed see the same mini-batches with the same augmentation in the same order,
whatever their architecture, because order and augmentation depend on (seed, epoch) only.
"""

import hashlib

import torch


def generator(seed: int, purpose: str, epoch: int = 0) -> torch.Generator:
    """Return a CPU generator for one purpose, e.g. "weights", "order" or "augmentation".

    It is always a CPU generator: its numbers are the same on every device.
    """
    digest = hashlib.sha256(f"{seed}/{purpose}/{epoch}".encode()).digest()
    # manual_seed takes 64 bits; 63 keep it positive.
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
