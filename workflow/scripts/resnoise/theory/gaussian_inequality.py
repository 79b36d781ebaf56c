"""Probability of an inequality between Gaussian variables (appendix E, figure 13)."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special


def probability(s: ArrayLike) -> NDArray[np.float64]:
    """Return F(s) = P(|X| > |Y|) of independent zero-mean normals (equation 14).

    ``(X / sigma_X, Y / sigma_Y)`` has a direction uniform on the circle, and |X| > |Y| holds in
    four sectors of angle arctan(s): F(s) = (2 / pi) arctan(s).

    Args:
        s: sigma_X / sigma_Y, from 0 to infinity.
    """
    return np.asarray(2 / math.pi * np.arctan(np.asarray(s, dtype=np.float64)))


def logistic(s: ArrayLike) -> NDArray[np.float64]:
    """Return the logistic approximation 1 / (1 + s^(-4 / pi)) of F(s) (equation 15).

    It has F's value and slope on the logarithmic axis at s = 1.

    Args:
        s: sigma_X / sigma_Y, from 0 to infinity.
    """
    with np.errstate(divide="ignore"):
        log_s = np.log(np.asarray(s, dtype=np.float64))
    return np.asarray(special.expit(4 / math.pi * log_s))


def largest_difference(upper: float = 1e3) -> tuple[float, float]:
    """Return the s > 1 where |logistic(s) - F(s)| is largest, and how large it is there.

    The difference is odd in log s, so that it is as large at 1 / s.

    Args:
        upper: end of the interval that is searched; beyond 10 both approach 1.
    """
    found = optimize.minimize_scalar(
        lambda log_s: -abs(float(logistic(math.exp(log_s)) - probability(math.exp(log_s)))),
        bounds=(0, math.log(upper)),
        method="bounded",
        options={"xatol": 1e-10},
    )
    return math.exp(found.x), -float(found.fun)
