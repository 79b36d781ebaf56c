"""Generalisation bounds of runs, and other measures that could predict how they generalise.

Everything is computed from what metrics have measured after training. The theorem of Arora et al.
(2018, arXiv 1802.05296) for convolutional networks (theorem 5.1) bounds the classification error by
the margin loss and

    sqrt(q / m),   q = c^2 d^2 max ||f(x)||^2 / gamma^2
                       * sum over layers i of beta^2 ceil(kappa_i / s_i)^2 / (mu_i^2 mu_i->^2)

for m training pictures: q is the number of parameters of a compressed network, its *effective
parameters*. Here d is the number of layers; kappa_i and s_i width and stride of a kernel; f(x) the
logits; gamma the margin that a share ``MARGIN_LOSS`` of the training pictures does not reach; c the
activation contraction (``noise_stability.csv``, largest value); beta how far from evenly the
Jacobians to the logits are spread (``metrics/bounds.csv``, largest value); mu_i the layer cushion
(``layer_cushion.csv``, smallest value over pictures); mu_i-> the minimal interlayer cushion: the
smallest of 1 / sqrt(outputs of layer i), the cushions of all spans of blocks that begin at the
output of layer i (``interlayer_cushion.csv``) and that of the span to the logits
(``metrics/bounds.csv``).

Left out are the constants and logarithms that the theorem hides in its O~, so that numbers are for
comparison and no guarantees. The theorem holds for networks without biases whose interlayer
smoothness rho is at least 3 d, and takes inputs of spans before the ReLU; these networks have
biases, ``smoothness`` and ``smoothness_needed`` say where they fall short, and spans begin after
the ReLU, as in section 5 of the paper.

A residual network is measured as its plain twin, the same function with the ones of ID entries
among the weights (T, section 3 of the paper). The paper's layer cushions (section 5) leave these
ones out of ||W||_F, so that there are two: cushions of the twin, and cushions with the identity
free of charge, in which the paper sees the advantage of residual networks. The bound is computed
with both.
"""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from resnoise.storage import csvfile
from resnoise.summaries.conjecture import RUN, dose
from resnoise.summaries.evaluations import read_evaluations
from resnoise.summaries.runs import read_metrics

# Share of the training pictures whose margin is below gamma: q05 of ``metrics/margin.csv``.
MARGIN_LOSS = 0.05
# Column -> name for people. Of each, a larger value should mean that a network generalises worse.
# Those that can be huge are logarithms, which changes no rank.
MEASURES = {
    "bound": "bound by noise stability (Arora et al.)",
    "bound_identity_free": "bound by noise stability, identity free",
    "layer_cushions": "layer cushions of the plain twin",
    "layer_cushions_identity_free": "layer cushions, identity free (the paper's)",
    "interlayer_cushions": "minimal interlayer cushions",
    "noise": "change of the logits by equal noise",
    "spectral": "product of spectral norms (Bartlett et al., first factor)",
    "spectral_distance": "spectral norms and distances (Bartlett et al.)",
    "frobenius": "product of Frobenius norms (Neyshabur et al.)",
    "path": "path norm (Neyshabur et al.)",
    "distance": "distance from initialisation",
    "margin": "inverse margin",
    "parameters": "number of parameters",
    # Where it predicts, risks are not equal enough for the others to mean much.
    "training_risk": "training risk",
    "missing_identity": "missing identity, 1 - alpha",
}
THEOREM = ("gamma", "contraction", "spread", "largest_logits", "smoothness", "smoothness_needed")
_EVALUATED = ("risk", "train_error", "test_error")
COLUMNS = (
    *(*RUN, "status", *_EVALUATED, "gap"),
    *MEASURES,
    *("bound_value", "bound_identity_free_value", *THEOREM),
)


def read(folders: Iterable[Path], family: str) -> pd.DataFrame:
    """Return a row with the columns ``COLUMNS`` for every run, after training.

    gap is test_error - train_error. The measures are log10 of: q, with the cushions of the plain
    twin or with the identity free; the sum of 1 / mu_i^2, twice; the sum of 1 / mu_i->^2; the mean
    over layers of the relative change of the logits by noise of the same norm in all networks, at
    its smallest size; the squares of products or sums of norms, divided by gamma^2; the distance;
    1 / gamma^2; the number of parameters; the training risk. A measure is infinite where the margin
    gamma is not above 0, and empty where a layer has no cushion, being dead on all pictures.
    bound_value is MARGIN_LOSS + sqrt(q / m). All measures are empty for networks with more than one
    layer in a block or with layers of other kinds. If the run diverged, all but the run and status
    are. missing_identity, no logarithm, is 1 - alpha of plain networks that start with alpha at
    the ID entries.

    Args:
        folders: run folders with ``run.json``, ``evaluation.csv``, ``layer_cushion.csv``,
            ``interlayer_cushion.csv``, ``noise_stability.csv``, ``metrics/margin.csv`` and
            ``metrics/bounds.csv``.
        family: name of the initialisation whose parameter is alpha.

    Raises:
        ResnoiseError: a file is missing or damaged.
    """
    rows = pd.DataFrame([_of_run(folder) for folder in folders], columns=list(COLUMNS))
    alphas = [dose(initialisation, family) for initialisation in rows["initialisation"]]
    missing = 1 - pd.Series(alphas, index=rows.index, dtype=float)
    is_dose = (rows["architecture"] == "plain") & (rows["status"] == "ok")
    return rows.assign(missing_identity=missing.where(is_dose))


def read_table(file: Path) -> pd.DataFrame:
    """Return the table that ``read`` has made, from its CSV file."""
    return csvfile.read(file, "the measures of runs", COLUMNS)


def _of_run(folder: Path) -> dict[str, Any]:
    """Return the row of one run."""
    evaluation = read_evaluations([folder / "evaluation.csv"])
    final: dict[Any, Any]
    (final,) = evaluation[evaluation["snapshot"] == "final"].to_dict("records")
    row: dict[str, Any] = {name: final[name] for name in (*RUN, "status", *_EVALUATED)}
    if final["status"] != "ok":
        return row
    layers = _final(folder, "metrics/bounds.csv").set_index("layer")
    row["gap"] = final["test_error"] - final["train_error"]
    if len(layers) < final["depth"] or layers["path_norm"].isna().any():
        return row
    margins = _final(folder, "metrics/margin.csv").set_index("part")
    gamma = float(margins["q05"].loc["train"])
    noise = _final(folder, "noise_stability.csv")
    row |= norm_measures(layers, gamma) | {"parameters": math.log10(final["parameters"])}
    row["training_risk"] = _log10(final["risk"])
    row["noise"] = _log10(_mean_change(noise, len(layers)))
    row |= _theorem(folder, layers, noise, gamma)
    return row


def norm_measures(layers: pd.DataFrame, gamma: float) -> dict[str, float]:
    """Return the measures that follow from norms of weights.

    Args:
        layers: rows of ``metrics/bounds.csv``, by layer.
        gamma: the margin.
    """
    spectral, moved = layers["spectral_norm"].to_numpy(), layers["row_distance"].to_numpy()
    margin = -2 * _log10(gamma) if gamma > 0 else math.inf
    product = 2 * float(np.sum(_log10s(spectral)))
    with np.errstate(divide="ignore", invalid="ignore"):
        distances = float(np.sum((moved / spectral) ** (2 / 3)))
    return {
        "spectral": product + margin,
        "spectral_distance": product + 3 * _log10(distances) + margin,
        "frobenius": 2 * float(np.sum(_log10s(layers["frobenius_norm"].to_numpy()))) + margin,
        "path": 2 * _log10(float(layers["path_norm"].iloc[-1])) + margin,
        "distance": _log10(float(np.linalg.norm(layers["distance"].to_numpy()))),
        "margin": margin,
    }


def effective_parameters(
    layers: pd.DataFrame,
    cushions: NDArray[np.float64],
    interlayer: NDArray[np.float64],
    facts: Mapping[str, float],
) -> float:
    """Return q of the theorem; infinite if the margin is not above 0.

    Args:
        layers: columns kernel and stride, by layer.
        cushions: mu_i, [layers].
        interlayer: mu_i->, [layers].
        facts: gamma, contraction (c), spread (beta) and largest_logits (max ||f(x)||).
    """
    if not facts["gamma"] > 0:
        return math.inf
    widths = np.ceil(layers["kernel"].to_numpy() / layers["stride"].to_numpy())
    terms = (facts["spread"] * widths / (cushions * interlayer)) ** 2
    outer = facts["contraction"] * len(layers) * facts["largest_logits"] / facts["gamma"]
    return float(outer**2 * np.sum(terms))


def _theorem(
    folder: Path, layers: pd.DataFrame, noise: pd.DataFrame, gamma: float
) -> dict[str, float]:
    """Return the theorem's quantities, and the measures that follow from them."""
    depth = len(layers)
    found = _final(folder, "layer_cushion.csv").groupby("layer")["cushion"].min()
    free = found.reindex(layers.index).to_numpy(dtype=np.float64)
    ratio = (layers["weight_norm"] / layers["transferred_norm"]).to_numpy()
    twin = free * ratio
    spans = _final(folder, "interlayer_cushion.csv").groupby("first")["cushion"].min()
    interlayer = minimal_interlayer(layers, spans)
    contraction = noise[noise["quantity"] == "activation_contraction"]["maximum"].max()
    smoothness = noise[noise["quantity"] == "inverse_smoothness"]["maximum"].max()
    facts = {
        "gamma": gamma,
        "contraction": float(contraction),
        "spread": float(layers["jacobian_spread"].max()),
        "largest_logits": float(layers["largest_output"].iloc[-1]),
        "smoothness": 1 / float(smoothness),
        "smoothness_needed": 3.0 * depth,
    }
    measures: dict[str, float] = {}
    for name, cushions in (("bound", twin), ("bound_identity_free", free)):
        effective = effective_parameters(layers, cushions, interlayer, facts)
        excess = math.sqrt(effective / int(layers["pictures"].iloc[0]))
        measures |= {name: _log10(effective), f"{name}_value": MARGIN_LOSS + excess}
    return {
        **facts,
        **measures,
        "layer_cushions": _log10(float(np.sum(twin**-2.0))),
        "layer_cushions_identity_free": _log10(float(np.sum(free**-2.0))),
        "interlayer_cushions": _log10(float(np.sum(interlayer**-2.0))),
    }


def minimal_interlayer(layers: pd.DataFrame, spans: "pd.Series[float]") -> NDArray[np.float64]:
    """Return mu_i-> of all layers (definition 8).

    Args:
        layers: columns outputs and logit_cushion, by layer.
        spans: first block of spans -> their smallest cushion. Block i is layer i + 1, so that its
            input is the output of layer i.
    """
    alone = 1 / np.sqrt(layers["outputs"].to_numpy(dtype=np.float64))
    parts = [alone, spans.reindex(layers.index).to_numpy(), layers["logit_cushion"].to_numpy()]
    smallest: NDArray[np.float64] = np.fmin.reduce(np.stack(parts).astype(np.float64))
    return smallest


def _mean_change(noise: pd.DataFrame, depth: int) -> float:
    """Return the mean over layers of the change of the logits, at the smallest noise.

    NaN if a layer has none, being dead.
    """
    rows = noise[(noise["quantity"] == "equal_weight_noise") & (noise["at_layer"] == depth)]
    smallest = rows[rows["size"] == rows["size"].min()]
    return float(smallest["mean"].mean(skipna=False))


def _final(folder: Path, name: str) -> pd.DataFrame:
    """Return the rows of a file of a run that are about the weights after training."""
    rows = read_metrics([folder], name)
    return rows[rows["snapshot"] == "final"]


def _log10(value: float) -> float:
    """Return the logarithm, -infinity of 0."""
    return float(_log10s(np.array(value)))


def _log10s(values: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        found: NDArray[np.float64] = np.log10(values)
    return found
