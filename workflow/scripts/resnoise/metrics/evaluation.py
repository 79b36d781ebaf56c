"""Risk, cost and error of a finished run, before and after training (Tables 1, 2, 4 and 5)."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch

from resnoise.devices import Computing
from resnoise.specs.metrics import EvaluationSpec
from resnoise.storage import csvfile
from resnoise.trained.run import TrainedRun
from resnoise.training import backend as backends
from resnoise.training.evaluation import evaluate
from resnoise.training.objective import Penalty


def measure_run(
    run: TrainedRun, _spec: EvaluationSpec, outputs: Sequence[Path], computing: Computing
) -> None:
    """Write a CSV with a row for the weights before ("initial") and after ("final") training.

    Columns: architecture, depth, initialisation, seed, parameters (their number, biases
    included), snapshot, status, risk, weight_term, cost, train_error, test_loss, test_error.
    Everything is measured on the whole set, without augmentation. After a run that diverged, the
    measurements of "final" are empty.

    Args:
        run: the run.
        outputs: the CSV file to write.
        computing: where to compute.
    """
    (output,) = outputs
    spec = run.spec
    chosen = computing.set_up(spec.recipe.allow_tf32)
    network = run.network("initial", chosen)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    rows = []
    for snapshot in ("initial", "final"):
        diverged = snapshot == "final" and run.status == "diverged"
        rows.append(
            {
                "architecture": spec.network.architecture,
                "depth": spec.network.depth,
                "initialisation": spec.initialisation,
                "seed": spec.seed,
                "parameters": parameters,
                "snapshot": snapshot,
                "status": "diverged" if diverged else "ok",
                **({} if diverged else _measure(run, snapshot, chosen)),
            }
        )
    csvfile.write(output, pd.DataFrame(rows))


def _measure(run: TrainedRun, snapshot: str, device: torch.device) -> dict[str, float]:
    """Return the numbers of one set of weights."""
    dataset, recipe = run.dataset, run.spec.recipe
    network = run.network(snapshot, device)
    backend = backends.select(network, run.spec, *dataset.train_images.shape[1:3])
    normalise = run.normalisation(device)
    results = {}
    for part, pictures, labels in (
        ("train", dataset.train_images, dataset.train_labels),
        ("test", dataset.test_images, dataset.test_labels),
    ):
        loss, error = evaluate(
            backend.logits,
            torch.from_numpy(pictures).to(device),
            torch.from_numpy(labels).to(device),
            normalise,
        )
        results[part] = (loss, error)
    risk, train_error = results["train"]
    test_loss, test_error = results["test"]
    weight_term = Penalty(network, recipe).value()
    return {
        "risk": risk,
        "weight_term": weight_term,
        "cost": risk + weight_term,
        "train_error": train_error,
        "test_loss": test_loss,
        "test_error": test_error,
    }
