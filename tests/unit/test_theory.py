"""Formulas against integrals and random numbers; the paper's statements about the trivial case."""

import dataclasses
import itertools
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from resnoise.config import load as config
from resnoise.figures import figure11, figure13
from resnoise.plan.specs import section_spec
from resnoise.specs.theory import TrivialCaseSpec
from resnoise.storage import csvfile
from resnoise.theory.gaussian_inequality import (
    largest_difference,
    logistic,
    probability,
)
from resnoise.theory.trivial_case import PARAMETERS, first_order, simulate, sweep

DEVIATIONS = st.floats(1e-4, 1e4)
BASE = {"n": 32, "steps": 8, "sigma_w": 0.02, "sigma_g": 1.0, "q": 0.5}


@given(DEVIATIONS, DEVIATIONS)
def test_equation_14_is_the_integral_of_its_proof(sigma_x: float, sigma_y: float) -> None:
    expected = by_conditioning(sigma_x, sigma_y)
    assert float(probability(sigma_x / sigma_y)) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def by_conditioning(sigma_x: float, sigma_y: float) -> float:
    """Return P(|X| > |Y|) by the integral of the paper's proof of equation 14.

    Conditioned on X = x, the probability of |Y| < |x| is erf(|x| / (sigma_Y sqrt(2))); by symmetry
    and with z = x / sigma_X, P = 2 * integral of phi(z) erf(s z / sqrt(2)) over z from 0, where phi
    is the standard normal density and s = sigma_X / sigma_Y.

    Args:
        sigma_x: standard deviation of X, above 0.
        sigma_y: standard deviation of Y, above 0.
    """
    s = sigma_x / sigma_y

    def density(z: float) -> float:
        normal = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        return 2 * normal * math.erf(s * z / math.sqrt(2))

    # The integrand bends at 1 / s; beyond 40 it is below the smallest float.
    bends = [z for z in (1 / s, 10 / s) if z < 40]
    value, _ = integrate.quad(density, 0, 40, points=bends or None, limit=200, epsabs=1e-13)
    return float(value)


@pytest.mark.parametrize(("sigma_x", "sigma_y"), [(1.0, 1.0), (3.0, 1.0), (0.2, 2.0)])
def test_equation_14_is_the_distribution_function_of_a_cauchy_variable(
    sigma_x: float, sigma_y: float
) -> None:
    """|Y / X| of two normals is the absolute value of a Cauchy variable."""
    s = sigma_x / sigma_y
    assert float(probability(s)) == pytest.approx(stats.halfcauchy.cdf(s), rel=1e-14)

    def joint(y: float, x: float) -> float:
        return float(4 * stats.norm.pdf(x, scale=sigma_x) * stats.norm.pdf(y, scale=sigma_y))

    value, _ = integrate.dblquad(joint, 0, 9 * sigma_x, 0, lambda x: min(x, 9 * sigma_y))
    assert float(probability(s)) == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize("s", [0.03, 0.5, 1.0, 4.0])
def test_equation_14_agrees_with_random_numbers(s: float) -> None:
    numbers = np.random.default_rng(5)
    count = 400_000
    share = np.mean(
        np.abs(s * numbers.standard_normal(count)) > np.abs(numbers.standard_normal(count))
    )
    expected = float(probability(s))
    assert abs(share - expected) < 5 * math.sqrt(expected * (1 - expected) / count)


@given(st.floats(1e-6, 1e6))
def test_swapping_the_variables_gives_the_opposite_event(s: float) -> None:
    for function in (probability, logistic):
        assert float(function(s) + function(1 / s)) == pytest.approx(1, abs=1e-12)


def test_the_approximation_touches_at_one_and_reaches_the_limits() -> None:
    step = 1e-4
    slopes = [
        (float(f(math.exp(step)) - f(math.exp(-step)))) / (2 * step)
        for f in (probability, logistic)
    ]
    assert float(probability(1)) == float(logistic(1)) == 0.5
    assert slopes == [pytest.approx(1 / math.pi, rel=1e-6)] * 2
    for function in (probability, logistic):
        assert function([0, np.inf]).tolist() == [0, 1]


def test_the_largest_difference_is_the_largest_on_a_fine_grid() -> None:
    place, size = largest_difference()
    s = np.logspace(-4, 4, 400_001)
    differences = np.abs(logistic(s) - probability(s))
    assert size == pytest.approx(differences.max(), rel=1e-8)
    assert (
        min(abs(np.log(s[differences.argmax()]) - sign * math.log(place)) for sign in (1, -1))
        < 1e-3
    )


def written_out(n: int, layers: int, live: np.ndarray, weights: np.ndarray, g: np.ndarray) -> float:
    """Return f from matrices as the paper writes them."""
    product = np.eye(n)
    for k in range(layers):
        product = product @ weights[k].T @ np.diag(live)
    product = product @ np.diag(g)
    dominant = 0
    for i in range(n):
        others = sum(product[i, j] for j in range(n) if j != i)
        dominant += abs(product[i, i]) > abs(others)
    return dominant / n


@pytest.mark.parametrize("residual", [True, False])
def test_simulation_has_the_distribution_of_the_written_out_matrices(residual: bool) -> None:
    numbers = np.random.default_rng(2)
    n, layers, count = 6, 3, 3000
    expected = []
    for _ in range(count):
        weights = 0.3 * numbers.standard_normal((layers, n, n)) + (np.eye(n) if residual else 0)
        live = (numbers.random(n) < 0.7).astype(float)
        expected.append(written_out(n, layers, live, weights, numbers.standard_normal(n)))
    found = simulate(n, layers, 0.3, 1.0, 0.7, residual=residual, repetitions=count, seed=(3,))
    assert len(found) == count
    error = math.sqrt((np.var(expected) + np.var(found)) / count)
    assert abs(np.mean(expected) - found.mean()) < 5 * error
    # The whole distribution, not only its mean: f is one of 0, 1 / n, ..., 1.
    assert stats.ks_2samp(expected, found, method="asymp").pvalue > 1e-4


def test_the_papers_example() -> None:
    point = (64, 10, 0.01, 1.0, 0.5)
    residual = simulate(*point, residual=True, repetitions=300, seed=(1,))
    plain = simulate(*point, residual=False, repetitions=300, seed=(1,))
    assert float(first_order(64, 10, 0.01, 0.5)) == pytest.approx(0.444, abs=0.0005)
    assert residual.mean() == pytest.approx(0.444, abs=5 * residual.std() / math.sqrt(300))
    assert plain.mean() == pytest.approx(0.045, abs=5 * plain.std() / math.sqrt(300))


def mean_of(residual: bool = True, **changes: float) -> tuple[float, float]:
    """Return simulated f and its standard error."""
    point = {**BASE, **changes}
    shares = simulate(**point, residual=residual, repetitions=600, seed=(7,))  # type: ignore[arg-type]
    return float(shares.mean()), float(shares.std(ddof=1) / math.sqrt(len(shares)))


@pytest.mark.parametrize("residual", [True, False])
def test_sigma_g_has_no_effect(residual: bool) -> None:
    """With the same random numbers not even on one repetition."""
    point = {name: value for name, value in BASE.items() if name != "sigma_g"}
    runs = [
        simulate(**point, sigma_g=sigma_g, residual=residual, repetitions=50, seed=(7,))  # type: ignore[arg-type]
        for sigma_g in (2.0**-9, 1.0, 2.0**9)
    ]
    assert np.array_equal(runs[0], runs[1])
    assert np.array_equal(runs[0], runs[2])


@pytest.mark.parametrize(
    ("parameter", "values"),
    [
        ("n", (64, 24, 8)),
        ("steps", (40, 10, 2)),
        ("sigma_w", (0.2, 0.05, 0.01)),
        ("q", (0.2, 0.5, 0.9)),
    ],
)
def test_residual_f_grows_as_n_steps_and_sigma_w_shrink_and_as_q_grows(
    parameter: str, values: tuple[float, ...]
) -> None:
    found = [mean_of(**{parameter: value}) for value in values]
    for (low, low_error), (high, high_error) in itertools.pairwise(found):
        assert high - low > 4 * math.hypot(low_error, high_error)
    points = [{**BASE, parameter: value} for value in values]
    expected = [float(first_order(p["n"], p["steps"], p["sigma_w"], p["q"])) for p in points]
    assert expected == sorted(expected)


@pytest.mark.parametrize("sigma_w", [0.001, 0.003, 0.01])
def test_the_approximation_agrees_where_sigma_w_is_small(sigma_w: float) -> None:
    found, error = mean_of(sigma_w=sigma_w)
    expected = first_order(BASE["n"], BASE["steps"], sigma_w, BASE["q"])
    assert abs(found - float(expected)) < 0.01 + 4 * error


def test_the_approximation_breaks_down_where_products_of_weights_count() -> None:
    """It is too large by far, and residual networks end as plain ones."""
    point = {"n": 64, "sigma_w": 0.2}
    found, error = mean_of(**point)
    expected = float(first_order(64, BASE["steps"], 0.2, BASE["q"]))
    assert expected - found > 0.04 > 10 * error
    plain, plain_error = mean_of(residual=False, **point)
    assert abs(found - plain) < 0.01 + 5 * math.hypot(error, plain_error)


def test_plain_f_is_far_below_residual_f_and_depends_on_q() -> None:
    residual, _ = mean_of()
    plain, error = mean_of(residual=False)
    assert residual > 5 * plain
    assert mean_of(residual=False, q=1.0)[0] > plain + 5 * error


def spec(**changes: object) -> TrivialCaseSpec:
    section = config.load({"trivial_case": {"repetitions": 4, **changes}})["trivial_case"]
    return section_spec(section, TrivialCaseSpec)


def test_the_sweep_varies_one_parameter_at_a_time() -> None:
    chosen = spec(n=8, n_values=[4, 8], last_layer=12, layer=7, layer_values=[1, 3])
    table = sweep(chosen)
    assert list(table["parameter"].unique()) == list(PARAMETERS)
    for row in table.to_dict("records"):
        changed = {name for name in PARAMETERS if row[name] != getattr(chosen, name)}
        assert changed <= {row["parameter"]}
        assert row[row["parameter"]] == row["value"]
        assert row["steps"] == 12 - row["layer"]
        assert (row["network"] == "residual") == (not math.isnan(row["f_first_order"]))
    n_rows = table[(table["parameter"] == "n") & (table["network"] == "plain")]
    assert list(n_rows["value"]) == [4, 8]
    assert (table["f_error"] >= 0).all()


def test_the_closer_a_layer_is_to_the_last_one_the_fewer_matrices_its_gradient_passes() -> None:
    """A point of the sweep is the simulation with K = L - l, and f rises with l (Figure 11 (b))."""
    one = spec(n=16)
    others = {f"{name}_values": [getattr(one, name)] for name in PARAMETERS if name != "layer"}
    chosen = spec(n=16, repetitions=300, last_layer=41, layer_values=[1, 21, 40], **others)
    table = sweep(chosen)
    rows = table[(table["parameter"] == "layer") & (table["network"] == "residual")]
    assert list(rows["steps"]) == [40, 20, 1]
    for place, row in enumerate(rows.to_dict("records")):
        expected = float(first_order(16, row["steps"], 0.01, 0.5))
        assert row["f_first_order"] == expected
        direct = simulate(
            16, row["steps"], 0.01, 1.0, 0.5, residual=True, repetitions=300, seed=(8, place)
        )
        error = math.hypot(row["f_error"], direct.std() / math.sqrt(300))
        assert abs(row["f_mean"] - direct.mean()) < 5 * error
    assert rows["f_mean"].is_monotonic_increasing
    assert rows["f_mean"].iloc[-1] - rows["f_mean"].iloc[0] > 4 * rows["f_error"].max()


def test_one_seed_gives_the_same_numbers_and_another_seed_others() -> None:
    one = sweep(spec())
    assert one.equals(sweep(spec()))
    assert not one.equals(sweep(dataclasses.replace(spec(), seed=1)))


def test_one_repetition_has_no_error() -> None:
    table = sweep(spec(repetitions=1, n_values=[4]))
    assert table["f_error"].isna().all()


def test_repetitions_do_not_depend_on_how_they_are_grouped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other groups draw other numbers, but as many and of the same kind."""
    monkeypatch.setattr("resnoise.theory.trivial_case._ENTRIES", 5 * 64**2)
    shares = simulate(64, 10, 0.01, 1.0, 0.5, residual=True, repetitions=298, seed=(1,))
    assert len(shares) == 298
    assert shares.mean() == pytest.approx(0.444, abs=5 * shares.std() / math.sqrt(298))


def test_figure11_shows_every_point_and_the_fixed_values(tmp_path: Path) -> None:
    table = sweep(spec(n=8))
    figure = figure11.draw(table)
    assert len(figure.axes) == 6
    for axis, parameter in zip(figure.axes, PARAMETERS, strict=False):
        panel = table[(table["parameter"] == parameter) & (table["network"] == "residual")]
        for container in axis.containers:
            assert len(container.lines[0].get_xdata()) == len(panel)
    (legend,) = [axis.get_legend() for axis in figure.axes if axis.get_legend()]
    assert "$L$ = 20, $n$ = 8, $l$ = 10" in legend.get_title().get_text()
    files = [tmp_path / f"figure.{kind}" for kind in ("pdf", "png", "csv")]
    csvfile.write(tmp_path / "trivial_case.csv", table)
    figure11.make([tmp_path / "trivial_case.csv"]).save(*files)
    assert len(pd.read_csv(files[2])) == len(table)


def test_figure13_writes_both_curves(tmp_path: Path) -> None:
    files = [tmp_path / f"figure.{kind}" for kind in ("pdf", "png", "csv")]
    figure13.make([]).save(*files)
    curves = pd.read_csv(files[2])
    assert (curves["logistic"] - curves["exact"]).abs().max() == pytest.approx(0.01303, abs=1e-5)
    assert list(curves.columns) == ["s", "exact", "logistic", "difference"]
