"""Dominant gradient flow in the trivial case of 1x1 kernels and vectors (appendix D.4.1).

The gradient that flows from the last layer L back to layer l passes K = L - l weight matrices:
``M = W_1^T D W_2^T D ... W_K^T D diag(g)`` with the same random 0/1 diagonal D, P(1) = q, in all
layers, g_i ~ N(0, sigma_g^2), and N_k with entries from N(0, sigma_w^2): W_k = I + N_k in residual
networks, W_k = N_k in plain ones. ``rho_i = |M_ii| / |sum of M_ij over j != i|`` (equation 6), and
f is the share of i with rho_i > 1. Where both are 0, rho_i is 0.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from resnoise.specs.theory import TrivialCaseSpec
from resnoise.theory.gaussian_inequality import probability

PARAMETERS = ("n", "layer", "sigma_w", "sigma_g", "q")
# Repetitions are computed in groups that have at most this many matrix entries.
_ENTRIES = 2**20


def simulate(
    n: int,
    steps: int,
    sigma_w: float,
    sigma_g: float,
    q: float,
    *,
    residual: bool,
    repetitions: int,
    seed: tuple[int, ...],
) -> NDArray[np.float64]:
    """Return f of each of ``repetitions`` independent draws, float64 [repetitions].

    Args:
        n: length of the vectors.
        steps: K, the number of layers that the gradient passes.
        sigma_w: standard deviation of the entries of N_k.
        sigma_g: standard deviation of the entries of g.
        q: probability that an entry of D is 1.
        residual: whether the identity is added to N_k.
        repetitions: number of draws.
        seed: of the random numbers.
    """
    numbers = np.random.default_rng(seed)
    shares = []
    for start in range(0, repetitions, max(1, _ENTRIES // n**2)):
        count = min(max(1, _ENTRIES // n**2), repetitions - start)
        live = (numbers.random((count, 1, n)) < q).astype(np.float64)
        # Rows of M: multiplied from the left by W_k^T D in turn, M = (... (W_1^T D) W_2^T D ...).
        product = np.broadcast_to(np.eye(n), (count, n, n))
        for _ in range(steps):
            weights = numbers.standard_normal((count, n, n)) * sigma_w
            # A transposed matrix of independent entries has the same distribution.
            spread = product @ weights
            product = (spread + product if residual else spread) * live
        product = product * (numbers.standard_normal((count, 1, n)) * sigma_g)
        shares.append(_dominant_share(product))
    return np.concatenate(shares)


def _dominant_share(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return f of each of the matrices M, [B, n, n]."""
    diagonal = np.diagonal(matrices, axis1=1, axis2=2)
    others = matrices * (1 - np.eye(matrices.shape[1]))
    return np.asarray((np.abs(diagonal) > np.abs(others.sum(2))).mean(1))


def first_order(
    n: ArrayLike, steps: ArrayLike, sigma_w: ArrayLike, q: ArrayLike
) -> NDArray[np.float64]:
    """Return the first-order approximation of f of residual networks (appendix D.4.1).

    ``f = q F(sqrt((1 + K sigma_w^2) / ((n - 1) q K sigma_w^2)))``: products of two N_k are ignored,
    entries are taken as normal, and inactive i (D_ii = 0) as having no dominant flow.

    Args:
        n: length of the vectors.
        steps: K, the number of layers that the gradient passes.
        sigma_w: standard deviation of the entries of N_k.
        q: probability that an entry of D is 1.
    """
    noise = np.asarray(steps) * np.square(sigma_w)
    with np.errstate(divide="ignore"):
        ratio = np.sqrt((1 + noise) / ((np.asarray(n) - 1) * np.asarray(q) * noise))
    return np.asarray(np.asarray(q) * probability(ratio))


def sweep(spec: TrivialCaseSpec) -> pd.DataFrame:
    """Return f against each of the five parameters, the others at their base values.

    One row for each parameter, value and kind of network ("residual", "plain"): parameter, value,
    n, layer, sigma_w, sigma_g, q, steps (K), network, repetitions, f_mean, f_error (the standard
    error over the repetitions, empty for one) and f_first_order (empty for plain networks).

    Args:
        spec: base values, values of each parameter, repetitions and seed.
    """
    rows = []
    for place, (parameter, value, point) in enumerate(_points(spec)):
        drawn = {name: point[name] for name in ("n", "sigma_w", "sigma_g", "q")}
        drawn["steps"] = spec.last_layer - point["layer"]
        for network in ("residual", "plain"):
            residual = network == "residual"
            shares = simulate(
                **drawn,
                residual=residual,
                repetitions=spec.repetitions,
                seed=(spec.seed, place, int(residual)),
            )
            error = shares.std(ddof=1) / math.sqrt(len(shares)) if len(shares) > 1 else math.nan
            expected = first_order(drawn["n"], drawn["steps"], drawn["sigma_w"], drawn["q"])
            rows.append(
                {
                    "parameter": parameter,
                    "value": value,
                    **point,
                    "steps": drawn["steps"],
                    "network": network,
                    "repetitions": len(shares),
                    "f_mean": shares.mean(),
                    "f_error": error,
                    "f_first_order": float(expected) if residual else math.nan,
                }
            )
    return pd.DataFrame(rows)


def _points(spec: TrivialCaseSpec) -> Iterator[tuple[str, float, dict[str, Any]]]:
    """Yield the parameter, its value and all parameters of each point of the sweep."""
    base = {name: getattr(spec, name) for name in PARAMETERS}
    for name in PARAMETERS:
        for value in getattr(spec, f"{name}_values"):
            yield name, value, {**base, name: value}
