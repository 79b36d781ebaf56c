"""Risk, cost and error of a finished run, before and after training (Tables 1, 2, 4 and 5)."""

import json
from pathlib import Path

import pandas as pd
import torch

from resnoise import devices, tensorfile
from resnoise.data.dataset import Dataset
from resnoise.errors import ResnoiseError
from resnoise.evaluation import evaluate
from resnoise.files import atomic_path
from resnoise.networks import build
from resnoise.specs import RunSpec
from resnoise.training import backend as backends
from resnoise.training.batches import Normalisation
from resnoise.training.checkpoint import Weights, set_weights, unflatten
from resnoise.training.objective import Penalty


def evaluate_run(
    record: Path,
    weights: Path,
    snapshots: Path,
    dataset: Dataset,
    output: Path,
    *,
    device: str,
    threads: int,
) -> None:
    """Write a CSV with a row for the weights before ("initial") and after ("final") training.

    Columns: architecture, depth, initialisation, seed, snapshot, status, risk, weight_term, cost,
    train_error, test_loss, test_error. Everything is measured on the whole set, without
    augmentation. After a run that diverged, the numbers of "final" are empty.

    Args:
        record: the run's record (JSON).
        weights: weights after training.
        snapshots: weights before and during training.
        dataset: the data set that the run was trained on.
        output: CSV file to write.
        device: "auto", "cpu" or "cuda".
        threads: CPU threads.

    Raises:
        ResnoiseError: a damaged file, or a run that was trained on other data.
    """
    try:
        facts = json.loads(record.read_text("utf-8"))
        data_digest, status = facts["data_digest"], facts["status"]
        spec = RunSpec.from_dict(facts["spec"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ResnoiseError(f"{record}: not readable as the record of a run ({error})") from error
    if data_digest != dataset.digest:
        raise ResnoiseError(f"{record}: the run was trained on other data, train it again")
    evaluated = {
        "initial": unflatten(tensorfile.load(snapshots)[0])["initial"],
        "final": tensorfile.load(weights)[0],
    }
    chosen = devices.set_up(device, threads, spec.recipe.allow_tf32)
    rows = []
    for snapshot, arrays in evaluated.items():
        diverged = snapshot == "final" and status == "diverged"
        rows.append(
            {
                "architecture": spec.network.architecture,
                "depth": spec.network.depth,
                "initialisation": spec.initialisation,
                "seed": spec.seed,
                "snapshot": snapshot,
                "status": "diverged" if diverged else "ok",
                **({} if diverged else _measure(spec, arrays, dataset, chosen)),
            }
        )
    with atomic_path(output) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)


def _measure(
    spec: RunSpec, weights: Weights, dataset: Dataset, device: torch.device
) -> dict[str, float]:
    """Return the numbers of one set of weights."""
    dtype = devices.WEIGHT_DTYPES[spec.recipe.precision]
    network = build(spec.network, len(dataset.class_names), dataset.train_images.shape[3])
    network = devices.place(network, device, spec.recipe.precision)
    set_weights(network, weights)
    backend = backends.select(network, spec, *dataset.train_images.shape[1:3])
    normalise = Normalisation(dataset.channel_mean, dataset.channel_std, device, dtype)
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
    weight_term = Penalty(network, spec.recipe).value()
    return {
        "risk": risk,
        "weight_term": weight_term,
        "cost": risk + weight_term,
        "train_error": train_error,
        "test_loss": test_loss,
        "test_error": test_error,
    }
