"""Which measure predicts how networks generalise: Kendall's rank correlation over runs.

Of each measure (``resnoise.summaries.bounds.MEASURES``), the rank correlation tau-b with the test
error, with the generalisation gap (test error - training error) and, for plain networks that start
with alpha at the ID entries, with 1 - alpha is taken over two sets of runs:

- *equal risk*: runs whose training risk is at most a bound, so that what is compared is
  generalisation and not how far training came (Jiang et al. 2020 train all networks to one risk);
- *all runs* that did not diverge, networks that learnt nothing among them. There, whatever makes a
  network trainable predicts its test error, so this is no test of generalisation.

A measure can follow the test error only because both depend on, say, depth. So tau is taken as well
within groups of runs that differ in one factor alone, and averaged, first over groups and then over
factors (Psi in "Fantastic generalization measures and where to find them", Jiang et al. 2020, where
the factors are hyperparameters). The factors are how networks start (architecture and
initialisation, dose included) and depth; groups that differ in the seed alone are shown beside
them, and differ by chance.

Intervals are percentiles over bootstrap draws of runs. Runs of one network with several seeds are
not independent, nor are runs with one seed, which see the same mini-batches, so they are narrow.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from resnoise.summaries.bounds import MEASURES
from resnoise.summaries.conjecture import RUN
from resnoise.summaries.seeds import finished

Array = NDArray[np.float64]

# What is predicted -> name for people. The last one is no prediction: of plain networks that start
# with alpha at the ID entries, it says whether a larger alpha goes with stabler networks.
GENERALISATION = {"test_error": "test error", "gap": "generalisation gap"}
TARGETS = {**GENERALISATION, "missing_identity": "missing identity, 1 - alpha"}
EQUAL_RISK, ALL = "equal risk", "all runs"
# Factor -> columns that differ within its groups, while all other columns of ``RUN`` are the same.
FACTORS = {
    "start": ("architecture", "initialisation"),
    "depth": ("depth",),
    "seed": ("seed",),
}
# The factors that someone chooses: what is predicted across them counts. Seeds differ by chance.
CHOSEN = ("start", "depth")
COLUMNS = (
    *("comparison", "target", "measure", "runs", "tau", "tau_low", "tau_high"),
    *("granulated", "granulated_low", "granulated_high", *FACTORS),
)


def comparisons(runs: pd.DataFrame, equal_risk: float) -> dict[str, pd.DataFrame]:
    """Return the runs of each comparison: ``EQUAL_RISK`` and ``ALL``.

    Args:
        runs: rows from ``resnoise.summaries.bounds.read``.
        equal_risk: largest training risk of the first comparison.
    """
    ended = finished(runs)
    return {EQUAL_RISK: ended[ended["risk"] <= equal_risk], ALL: ended}


def correlations(
    runs: pd.DataFrame, *, equal_risk: float, replicates: int, confidence: float, seed: int
) -> pd.DataFrame:
    """Return a row with the columns ``COLUMNS`` for each comparison, target and measure.

    runs is the number of runs that have the measure. tau, with the ends of its interval, is empty
    if the measure or the target is the same for all runs (bounds may be infinite for all of them);
    granulated is the mean of start and depth. These columns and seed are the mean of tau over the
    factor's groups, empty if there is no group in which the target differs, or if the measure is
    the same for all runs. Where it is the same in a group, but not in all, it predicts nothing: 0.

    Args:
        runs: rows from ``resnoise.summaries.bounds.read``.
        equal_risk: largest training risk of the comparison at equal risk.
        replicates: number of bootstrap draws.
        confidence: of the intervals.
        seed: of the bootstrap.
    """
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    rows = []
    for comparison, chosen in comparisons(runs, equal_risk).items():
        for target in TARGETS:
            for measure in MEASURES:
                if measure == target:
                    continue
                own = chosen[chosen[measure].notna() & chosen[target].notna()]
                # The same draws for all measures and targets of the same runs.
                draws = _draws(len(own), replicates, seed)
                taus, of_factors = _correlate(own, measure, target, draws)
                granulated = _mean([of_factors[name] for name in CHOSEN])
                rows.append(
                    {
                        **{"comparison": comparison, "target": target, "measure": measure},
                        **{"runs": len(own), "tau": taus[0], "granulated": granulated[0]},
                        **_ends("tau", taus, tails),
                        **_ends("granulated", granulated, tails),
                        **{factor: values[0] for factor, values in of_factors.items()},
                    }
                )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _draws(count: int, replicates: int, seed: int) -> Array:
    """Return how often each draw takes each run, [1 + replicates, runs]; the first takes all."""
    if not count:
        return np.ones((1 + replicates, 0))
    generator = np.random.default_rng([seed, count])
    drawn = generator.multinomial(count, np.full(count, 1 / count), size=replicates)
    return np.concatenate([np.ones((1, count)), drawn])


def _correlate(
    runs: pd.DataFrame, measure: str, target: str, draws: Array
) -> tuple[Array, dict[str, Array]]:
    """Return tau over all runs and the mean over the groups of each factor, for each draw."""
    pairs = Pairs.of(runs[measure].to_numpy(np.float64), runs[target].to_numpy(np.float64))
    unknown = np.full(len(draws), np.nan)
    if not pairs.first.any():
        return unknown, dict.fromkeys(FACTORS, unknown)
    found = {}
    for factor in FACTORS:
        groups = [
            pairs.part(group).tau(draws[:, group], flat=0.0) for group in _groups(runs, factor)
        ]
        found[factor] = _mean(groups) if groups else unknown
    return pairs.tau(draws), found


def _groups(runs: pd.DataFrame, factor: str) -> Iterator[NDArray[np.int64]]:
    """Yield the places of the runs of each group of a factor; groups of one run left out."""
    same = [name for name in RUN if name not in FACTORS[factor]]
    numbers = runs.groupby(same, sort=False).ngroup().to_numpy()
    for number in range(numbers.max(initial=-1) + 1):
        places = np.flatnonzero(numbers == number)
        if len(places) > 1:
            yield places


@dataclasses.dataclass(frozen=True)
class Pairs:
    """The order of all pairs of runs by two quantities: 1, -1, or 0 for a tie, [runs, runs]."""

    first: Array
    second: Array

    @classmethod
    def of(cls, first: Array, second: Array) -> "Pairs":
        """Return the order of runs by two quantities, [runs] each; they may be infinite."""
        return cls(_order(first), _order(second))

    def part(self, places: NDArray[np.int64]) -> "Pairs":
        """Return the order of some of the runs."""
        chosen = np.ix_(places, places)
        return Pairs(self.first[chosen], self.second[chosen])

    def tau(self, draws: Array, flat: float = np.nan) -> Array:
        """Return Kendall's tau-b for each draw, [draws].

        It is that of ``scipy.stats.kendalltau`` on the drawn runs, for thousands of draws at once.

        Args:
            draws: how often each draw takes each run, [draws, runs].
            flat: what it is if all runs are equal by the first quantity and not by the second.
        """
        both, one, two = (
            np.einsum("ri,ri->r", draws @ matrix, draws)
            for matrix in (self.first * self.second, self.first**2, self.second**2)
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            found: Array = both / np.sqrt(one * two)
        return np.where((one == 0) & (two > 0), flat, found)


def _order(values: Array) -> Array:
    """Return 1 where a run is above another, -1 where it is below and 0 where it is equal."""
    above = values[:, None] > values[None]
    return above.astype(np.float64) - above.T


def _mean(values: Sequence[Array]) -> Array:
    """Return the mean of [draws] each, without those that are empty; NaN if all are."""
    table = np.stack(values)
    counts = (~np.isnan(table)).sum(0)
    with np.errstate(invalid="ignore"):
        mean: Array = np.nansum(table, 0) / counts
    return mean


def _ends(name: str, values: Array, tails: Sequence[float]) -> dict[str, float]:
    """Return the ends of the interval of a quantity from its draws, NaN if it is empty in most."""
    drawn = values[1:][~np.isnan(values[1:])]
    if np.isnan(values[0]) or len(drawn) < len(values[1:]) / 2:
        return {f"{name}_low": np.nan, f"{name}_high": np.nan}
    low, high = np.quantile(drawn, tails)
    return {f"{name}_low": float(low), f"{name}_high": float(high)}
