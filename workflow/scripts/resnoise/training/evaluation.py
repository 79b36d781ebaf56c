"""Loss and error of a network on a set of pictures, without augmentation."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from resnoise.training.batches import Normalisation

# Large enough to keep the device busy, small enough for the activations of 16 x 32 x 32 to fit.
BATCH = 500
# On a card, launching the operations on fewer pictures takes longer than computing them.
_CARD_BATCH = 2500


@torch.no_grad()
def evaluate(
    logits: Callable[[Tensor], Tensor], pictures: Tensor, labels: Tensor, normalise: Normalisation
) -> tuple[float, float]:
    """Return mean cross-entropy and share of wrong predictions.

    Losses are added in float64, so that the mean does not depend on the size of the set.

    Args:
        logits: maps inputs [B, C, H, W] to logits [B, classes]; a network in evaluation mode.
        pictures: uint8 [N, H, W, C].
        labels: int64 [N], on the same device.
        normalise: what makes network inputs of uint8 pictures.
    """
    loss = torch.zeros((), dtype=torch.float64, device=labels.device)
    wrong = torch.zeros((), dtype=torch.int64, device=labels.device)
    batch = BATCH if pictures.device.type == "cpu" else _CARD_BATCH
    chunks = zip(torch.split(pictures, batch), torch.split(labels, batch), strict=True)
    for chunk, target in chunks:
        output = logits(normalise(chunk)).double()
        loss += F.cross_entropy(output, target, reduction="sum")
        wrong += (output.argmax(1) != target).sum()
    return float(loss) / len(labels), int(wrong) / len(labels)
