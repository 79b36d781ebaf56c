"""Margins: by how much the logit of the right class exceeds all others (Arora et al. 2018).

A change of the logits whose 2-norm is below margin / sqrt(2) changes no prediction. So margin /
norm of the logits is, up to the factor sqrt(2), the relative noise at the output that a prediction
withstands. Cushions bound this noise.
"""

import pandas as pd
import torch
from torch import Tensor

from resnoise.trained.run import Measurable
from resnoise.training.evaluation import BATCH


def measure(run: Measurable, device: torch.device) -> pd.DataFrame:
    """Return statistics of the margins over all pictures, without augmentation.

    Columns: snapshot ("initial", ..., "final"), part ("train" or "test"), mean, median and q05
    (quantile 0.05) of the margins, and relative_median, the median of margin / norm of the logits.
    """
    normalise = run.normalisation(device)
    parts = {
        "train": (run.dataset.train_images, run.dataset.train_labels),
        "test": (run.dataset.test_images, run.dataset.test_labels),
    }
    rows = []
    for label in run.usable(every_snapshot=True):
        network = run.network(label, device)
        for part, (pictures, labels) in parts.items():
            with torch.no_grad():
                logits = torch.cat(
                    [
                        network(normalise(chunk.to(device))).double().cpu()
                        for chunk in torch.split(torch.from_numpy(pictures), BATCH)
                    ]
                )
            found = margins(logits, torch.from_numpy(labels))
            relative = found / torch.linalg.vector_norm(logits, dim=1)
            rows.append(
                {
                    "snapshot": label,
                    "part": part,
                    "mean": float(found.mean()),
                    "median": float(found.quantile(0.5)),
                    "q05": float(found.quantile(0.05)),
                    "relative_median": float(relative.quantile(0.5)),
                }
            )
    return pd.DataFrame(rows)


def margins(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the logit of the right class minus the largest other one, [N].

    Args:
        logits: [N, classes].
        labels: int64 [N].
    """
    right = logits.gather(1, labels[:, None])
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return (right - others.amax(1, keepdim=True)).squeeze(1)
