"""How equal a residual network and its transferred plain network are on real pictures."""

from pathlib import Path
from typing import Any

import torch

from resnoise import devices
from resnoise.data.dataset import Dataset
from resnoise.errors import ResnoiseError
from resnoise.networks import build
from resnoise.networks.transfer import to_plain
from resnoise.specs.run import NetworkSpec, RunSpec
from resnoise.storage import tensorfile
from resnoise.storage.digests import write_json
from resnoise.trained.record import read_record, read_weights
from resnoise.training.batches import Normalisation

PICTURES = 500


def transfer_run(
    record: Path,
    weights: Path,
    dataset: Dataset,
    output: Path,
    report: Path,
    *,
    device: str,
    threads: int,
    expected: RunSpec | None = None,
) -> None:
    """Write T of a residual run's final weights, and how far the two functions differ.

    The report (JSON) holds, for float32 and float64 arithmetic, the largest absolute difference
    between the two networks' logits over the first test pictures, the largest logit beside it, and
    on how many pictures the predictions differ.

    Args:
        record: the run's record (JSON).
        weights: the run's weights after training.
        dataset: the data set that the run was trained on.
        output: file of plain weights to write, in the type of ``weights``.
        report: JSON file to write.
        device: "auto", "cpu" or "cuda".
        threads: CPU threads.
        expected: the run that should be there; None for any.

    Raises:
        ResnoiseError: a damaged file, another run, files of different runs, another data set, or a
            run of a network that has no transfer.
    """
    facts = read_record(record, dataset.digest, expected)
    spec = facts.spec
    if spec.network.architecture != "residual":
        raise ResnoiseError(
            f"{record}: transfer of a {spec.network.architecture!r} network asked for, allowed: "
            "'residual'"
        )
    arrays = read_weights(weights, facts, "weights")
    residual = {name: torch.from_numpy(array) for name, array in arrays.items()}
    chosen = devices.set_up(device, threads)
    comparison = {
        precision: compare(spec.network, residual, dataset, chosen, precision)
        for precision in ("float32", "float64")
    }
    plain = {name: tensor.numpy() for name, tensor in to_plain(residual).items()}
    tensorfile.save(output, plain, {**facts.identity, "transferred_from": facts.digests["weights"]})
    write_json(report, comparison)


@torch.no_grad()
def compare(
    spec: NetworkSpec,
    residual: dict[str, torch.Tensor],
    dataset: Dataset,
    device: torch.device,
    precision: str,
) -> dict[str, Any]:
    """Return how far the outputs of a residual network and of its plain twin differ.

    Args:
        spec: the residual network.
        residual: its weights; the transfer is done in the arithmetic of ``precision``.
        dataset: pictures.
        device: where to compute.
        precision: "float32" or "float64".
    """
    dtype = devices.WEIGHT_DTYPES[precision]
    rounded = {name: tensor.to(dtype) for name, tensor in residual.items()}
    normalise = Normalisation(dataset.channel_mean, dataset.channel_std, device, dtype)
    pictures = torch.from_numpy(dataset.test_images[:PICTURES]).to(device)
    outputs = []
    for architecture, weights in (("residual", rounded), ("plain", to_plain(rounded))):
        network = build(
            NetworkSpec(architecture, spec.depth, spec.width),
            len(dataset.class_names),
            dataset.train_images.shape[3],
        )
        network = devices.place(network, device, precision)
        network.load_state_dict(weights)
        outputs.append(network(normalise(pictures)))
    first, second = outputs
    return {
        "pictures": len(pictures),
        "largest_difference": float((first - second).abs().max()),
        "largest_logit": float(first.abs().max()),
        "different_predictions": int((first.argmax(1) != second.argmax(1)).sum()),
    }
