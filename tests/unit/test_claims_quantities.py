"""Quantities of claims against numbers worked out by hand or by brute force."""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from resnoise.claims import definition
from resnoise.claims.files import ResultFile
from resnoise.claims.operations import OPERATIONS, NotMeasured, Value
from resnoise.claims.quantities import Results, measure
from resnoise.claims.settings import claim_settings
from resnoise.config import load as configuration
from resnoise.config.schema import SCHEMA_PATH
from resnoise.errors import ResnoiseError
from resnoise.storage import csvfile

PAPER = SCHEMA_PATH.with_name("paper.yaml")
RISKS = {
    "plain": {1: [2.0, 1.0, 0.8], 2: [2.2, 1.2, 0.4], 3: [1.8, 1.4, 0.6]},
    "residual": {1: [2.0, 0.5, 0.3], 2: [2.0, 0.7, 0.1]},
}


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Return curves of two networks and a table without runs."""
    found = []
    for network, runs in RISKS.items():
        for seed, risks in runs.items():
            path = f"{network}-seed{seed}.csv"
            rows = {"epoch": [1, 2, 3], "risk": risks, "test_error": [r / 2 for r in risks]}
            csvfile.write(tmp_path / path, pd.DataFrame(rows))
            run = {"architecture": network, "depth": 20, "initialisation": "kwi", "seed": seed}
            found.append(ResultFile(path, run))
    table = {"x": [1, 2, 3, 4], "y": [3.0, -5.0, 1.0, 1.0], "low": 0.0, "high": 4.0, "runs": 1}
    csvfile.write(tmp_path / "table.csv", pd.DataFrame(table))
    files = {"curves": found, "table": [ResultFile("table.csv", {})], "empty": []}
    return Results(tmp_path, files, replicates=500, seed=0)


def quantity(text: str) -> definition.Quantity:
    """Return a quantity from YAML; the sources are curves, table, empty and absent."""
    sources = {
        name: definition.Source(
            name, f"{name}.csv", "table1" if name == "curves" else None, {}, name
        )
        for name in ("curves", "table", "empty", "absent")
    }
    return definition._quantity(yaml.safe_load(text), sources, "test")


def number(text: str, results: Results) -> float:
    return float(measure(quantity(text), results).values[0])


def test_statements_on_all_layers_are_not_judged_where_some_are_dead(tmp_path: Path) -> None:
    read = definition.read(PAPER, claim_settings(configuration.load({})))
    claims = [claim for claim in read if claim.id.startswith("layer-cushion-exceptions")]
    counts = pd.DataFrame({"depth": [20, 32], "layers": [20, 9], "larger": [18, 9]})
    counts = counts.assign(plain_runs=2, residual_runs=1, uncompared=[0, 23])
    csvfile.write(tmp_path / "counts.csv", counts)
    files = {"layer-cushion-counts": [ResultFile("counts.csv", {})]}
    results = Results(tmp_path, files, replicates=1, seed=0)
    found = measure(claims[0].quantity, results)
    assert (found.values[0], found.runs) == (2, 1)
    with pytest.raises(NotMeasured, match="no row with uncompared 0, depth 32"):
        measure(claims[1].quantity, results)


def test_the_correlation_with_what_is_no_number_is_none(results: Results) -> None:
    """It is not 0, which would be a verdict."""
    zero = f"{{difference: [{PLAIN}, {PLAIN}]}}"
    value = number(f"{{correlation: [{PLAIN}, {{ratio: [{zero}, {zero}]}}]}}", results)
    assert np.isnan(value)


CURVE = "{source: curves, column: risk, by: epoch, where: {architecture: %s}}"
PLAIN, RESIDUAL = CURVE % "plain", CURVE % "residual"
LAST = "{source: curves, column: risk, where: {architecture: %s, epoch: 3}}"
Y = "{source: table, column: y, by: x}"


def test_a_selection_is_the_mean_over_seeds(results: Results) -> None:
    value = measure(quantity(LAST % "plain"), results)
    assert value.values[0] == pytest.approx(0.6)
    assert value.runs == 3 and value.drawn and value.index is None


def test_the_bootstrap_draws_seeds_with_replacement(results: Results) -> None:
    drawn = measure(quantity(LAST % "plain"), results).values[1:]
    possible = {
        round(float(np.mean(values)), 12) for values in itertools.product([0.8, 0.4, 0.6], repeat=3)
    }
    assert {round(float(value), 12) for value in drawn} == possible
    # The bootstrap's variance of a mean is the population variance divided by the number.
    assert drawn.var() == pytest.approx(np.var([0.8, 0.4, 0.6]) / 3, rel=0.2)


def test_selections_over_the_same_seeds_share_the_draws(results: Results) -> None:
    twice = f"{{ratio: [{LAST % 'plain'}, {LAST % 'plain'}]}}"
    assert np.array_equal(measure(quantity(twice), results).values, np.ones(501))
    paired = "{source: curves, column: %s, where: {architecture: residual, epoch: 3}}"
    halves = measure(quantity(f"{{ratio: [{paired % 'test_error'}, {paired % 'risk'}]}}"), results)
    np.testing.assert_allclose(halves.values, 0.5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2.5", 2.5),
        (f"{{ratio: [{LAST % 'plain'}, {LAST % 'residual'}]}}", 0.6 / 0.2),
        (f"{{difference: [1, {LAST % 'plain'}]}}", 0.4),
        (f"{{product: [2, {LAST % 'plain'}]}}", 1.2),
        (f"{{sum: [2, {LAST % 'plain'}]}}", 2.6),
        (f"{{mean: {Y}}}", 0.0),
        (f"{{average: {Y}}}", (3 / 2 - 5 + 1 + 1 / 2) / 3),
        (f"{{smallest: {Y}}}", -5.0),
        (f"{{largest: {{absolute: {Y}}}}}", 5.0),
        (f"{{first: {Y}}}", 3.0),
        (f"{{last: {Y}}}", 1.0),
        (f"{{place_of_largest: {Y}}}", 1.0),
        (f"{{count: {{of: {Y}, greater: 0.5}}}}", 3.0),
        (f"{{share: {{of: {Y}, less: 1}}}}", 0.25),
        (f"{{trend: {PLAIN}}}", -1.0),
        # The ranks 4, 1, 2.5, 2.5 against 1, 2, 3, 4.
        (f"{{trend: {Y}}}", float(pd.Series([4, 1, 2.5, 2.5]).corr(pd.Series([1, 2, 3, 4])))),
        (f"{{correlation: [{Y}, {Y}]}}", 1.0),
        (f"{{correlation: [{Y}, {{product: [-1, {Y}]}}]}}", -1.0),
        (f"{{correlation: [{PLAIN}, {PLAIN.replace('plain', 'plain, depth: 20')}]}}", 1.0),
        # 3, -5, 1, 1 at 1, 2, 3, 4.
        (f"{{first: {{decrease: {Y}}}}}", 8.0),
        (f"{{place_of_largest: {{decrease: {Y}}}}}", 2.0),
        (f"{{smallest: {{decrease: {Y}}}}}", -6.0),
        (f"{{last: {{decrease: {Y}}}}}", 0.0),
        (f"{{largest: {{difference: [{PLAIN}, {RESIDUAL}]}}}}", 0.6),
        (f"{{place_of_largest: {{difference: [{PLAIN}, {RESIDUAL}]}}}}", 2.0),
        ("{source: table, column: y, reduce: sum}", 0.0),
        ("{source: table, column: y, reduce: largest, where: {x: {from: 2}}}", 1.0),
        ("{source: table, column: y, where: {x: 2}}", -5.0),
        ("{source: curves, column: risk, reduce: median, where: {architecture: residual}}", 0.6),
        # The smallest risk of both networks for each of the three seeds.
        (
            "{largest: {source: curves, column: risk, reduce: smallest, by: depth}}",
            (0.3 + 0.1 + 0.6) / 3,
        ),
    ],
)
def test_operations(text: str, expected: float, results: Results) -> None:
    assert number(text, results) == pytest.approx(expected, abs=1e-12)


def test_runs_are_the_smallest_number_of_the_parts(results: Results) -> None:
    value = measure(quantity(f"{{ratio: [{LAST % 'plain'}, {LAST % 'residual'}]}}"), results)
    assert value.runs == 2 and value.drawn
    value = measure(quantity(f"{{mean: {Y}}}"), results)
    assert value.runs is None and not value.drawn


def test_a_table_may_hold_its_own_interval_and_number_of_runs(results: Results) -> None:
    text = "{source: table, column: y, runs: runs, interval: [low, high], where: {x: 3}}"
    value = measure(quantity(text), results)
    assert value.interval == (0.0, 4.0) and value.runs == 1 and not value.drawn


def when_reached(curve: list[float], level: float) -> float:
    """Return when a polygon comes down to a level, if ever, by looking at every piece of it."""
    if curve[0] <= level:
        return 0.0
    for place, (before, after) in enumerate(itertools.pairwise(curve)):
        if after <= level:
            return place + (before - level) / (before - after)
    return math.inf


def test_sooner_compares_when_levels_are_reached(results: Results) -> None:
    text = "{sooner: [%s, %s]}"
    residual = np.mean([*RISKS["residual"].values()], axis=0).tolist()
    plain = np.mean([*RISKS["plain"].values()], axis=0).tolist()
    levels = np.geomspace(min(residual[0], plain[0]), min(residual[-1], plain[-1]), 100)
    scores = []
    for level in levels.tolist():
        a, b = when_reached(residual, level), when_reached(plain, level)
        scores.append(0.5 if a == b else float(a < b))
    expected = np.mean(scores)
    assert 0.9 < expected < 1
    assert number(text % (RESIDUAL, PLAIN), results) == pytest.approx(expected)
    assert number(text % (PLAIN, RESIDUAL), results) == pytest.approx(1 - expected)
    assert number(text % (PLAIN, PLAIN), results) == 0.5
    # One on a plateau comes to no level of one that learns, wherever noise lets it begin.
    for start in (2.0, 2.2):
        learning = Value(np.array([[start, 0.8, 0.1]]), np.array([1.0, 2.0, 3.0]))
        plateau = Value(np.array([[2.1, 2.09, 2.09]]), np.array([1.0, 2.0, 3.0]))
        assert OPERATIONS["sooner"](learning, plateau).values == pytest.approx([1.0], abs=0.03)
        assert OPERATIONS["sooner"](plateau, learning).values == pytest.approx([0.0], abs=0.03)
    # Curves without a common level: the lower one was there from the beginning.
    tenth = f"{{product: [0.1, {PLAIN}]}}"
    assert number(text % (tenth, PLAIN), results) == 1.0
    assert number(text % (PLAIN, tenth), results) == 0.0


def test_lower_at_equal_interpolates_both_curves(results: Results) -> None:
    error = PLAIN.replace("risk", "test_error")
    same = f"{{lower_at_equal: [{{x: {PLAIN}, y: {error}}}, {{x: {PLAIN}, y: {error}}}]}}"
    assert number(same, results) == 0.0
    # Double the risk at the same error: at equal risk a quarter of it against a half.
    doubled = f"{{product: [2, {PLAIN}]}}"
    lower = f"{{lower_at_equal: [{{x: {doubled}, y: {error}}}, {{x: {PLAIN}, y: {error}}}]}}"
    assert number(lower, results) == 1.0


def test_levels_are_even_in_the_logarithm(tmp_path: Path) -> None:
    # The first curve has the lower error below a risk of 0.1, half of the way in the logarithm.
    curves = {
        "plain": {"risk": [1.0, 0.9, 0.1, 0.01], "test_error": [1.0, 0.9, 0.5, 0.0]},
        "residual": {"risk": [1.0, 0.1, 0.09, 0.01], "test_error": [0.8, 0.5, 0.5, 0.2]},
    }
    found = []
    for network, rows in curves.items():
        csvfile.write(tmp_path / f"{network}.csv", pd.DataFrame({"epoch": [1, 2, 3, 4], **rows}))
        run = {"architecture": network, "depth": 20, "initialisation": "kwi", "seed": 1}
        found.append(ResultFile(f"{network}.csv", run))
    results = Results(tmp_path, {"curves": found}, replicates=2, seed=0)
    one, two = (
        f"{{x: {curve}, y: {curve.replace('risk', 'test_error')}}}" for curve in (PLAIN, RESIDUAL)
    )
    assert 0.4 < number(f"{{lower_at_equal: [{one}, {two}]}}", results) < 0.6
    levels = np.geomspace(1.0, 0.01, 100)
    reached = [[when_reached(c["risk"], level) for level in levels] for c in curves.values()]
    scores = [0.5 if a == b else float(a < b) for a, b in zip(*reached, strict=True)]
    assert number(f"{{sooner: [{PLAIN}, {RESIDUAL}]}}", results) == pytest.approx(np.mean(scores))
    # A network that learns nothing stays on a plateau, where order means nothing.
    near = f"{{sum: [1000, {PLAIN}]}}"
    plateau = one.replace(PLAIN, near, 1)
    for text in (f"{{sooner: [{near}, {near}]}}", f"{{lower_at_equal: [{plateau}, {plateau}]}}"):
        with pytest.raises(NotMeasured, match="differ by less than a tenth"):
            number(text, results)
    below = one.replace(PLAIN, f"{{product: [-1, {PLAIN}]}}")
    with pytest.raises(NotMeasured, match="not above 0"):
        number(f"{{lower_at_equal: [{below}, {below}]}}", results)


@pytest.mark.parametrize("bad", [[1.0, 0.5, 0.0], [1.0, 0.99, 0.98], [1.0, np.nan, np.nan]])
def test_a_draw_without_common_levels_is_left_out_unless_it_is_the_measurement(
    bad: list[float],
) -> None:
    good, index = [1.0, 0.5, 0.1], np.array([1.0, 2.0, 3.0])

    def measured(*draws: list[float]) -> list[float]:
        curve = Value(np.array(draws), index)
        sooner = OPERATIONS["sooner"](curve, curve)
        lower = OPERATIONS["lower_at_equal"](curve, curve, curve, curve)
        return [*sooner.values, *lower.values]

    expected = [0.5, np.nan, 0.5, 0.0, np.nan, 0.0]
    assert measured(good, bad, good) == pytest.approx(expected, nan_ok=True)
    with pytest.raises(NotMeasured):
        measured(bad, good)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{source: absent, column: y}", "this configuration makes no absent"),
        ("{source: empty, column: y, where: {depth: 32}}", "no such networks of depth 32"),
        (
            "{source: curves, column: risk, where: {architecture: plain, depth: 44, epoch: 1}}",
            "no plain networks of depth 44 among its curves",
        ),
        (
            "{source: curves, column: risk, where: {epoch: 200}}",
            "curves.csv has no row with epoch 200",
        ),
        (
            "{source: curves, column: risk, where: {epoch: {from: 5, to: 9}}}",
            "no row with epoch from 5 to 9",
        ),
        (
            "{source: curves, column: risk, where: {epoch: [5, 6], risk: {to: 0}}}",
            "no row with epoch 5 or 6, risk to 0",
        ),
        (f"{{trend: {PLAIN.replace('plain', 'plain, epoch: 1')}}}", "one entry has no trend"),
        (
            f"{{decrease: {PLAIN.replace('plain', 'plain, epoch: 1')}}}",
            "one entry does not decrease",
        ),
    ],
)
def test_what_the_results_lack_is_not_measured(text: str, reason: str, results: Results) -> None:
    with pytest.raises(NotMeasured, match=reason):
        measure(quantity(text), results)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{source: table, column: z, by: x}", "no column z; its columns are x, y"),
        ("{source: table, column: y}", "4 rows have"),
        ("{mean: {source: table, column: y, where: {x: 1}}}", "mean needs a series"),
    ],
)
def test_a_mistake_in_a_quantity_is_named(text: str, message: str, results: Results) -> None:
    with pytest.raises(ResnoiseError, match=message):
        measure(quantity(text), results)


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    broken = Results(tmp_path, {"table": [ResultFile("table.csv", {})]}, replicates=100, seed=0)
    with pytest.raises(ResnoiseError, match=r"table\.csv: cannot be read"):
        measure(quantity(Y), broken)


def test_the_same_seed_gives_the_same_bootstrap(tmp_path: Path, results: Results) -> None:
    def drawn(seed: int) -> Any:
        return Results(tmp_path, {}, replicates=50, seed=seed).draws((1, 2, 3))

    assert np.array_equal(drawn(0), drawn(0)) and not np.array_equal(drawn(0), drawn(1))
    assert np.array_equal(drawn(0)[0], [0, 1, 2])
