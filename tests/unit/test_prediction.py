"""Rank correlations against scipy's, their intervals, and what is read from them."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from resnoise.claims import conjecture, definition
from resnoise.claims.files import ResultFile
from resnoise.claims.quantities import Results
from resnoise.claims.verdicts import judge
from resnoise.figures import prediction as figure
from resnoise.storage import csvfile
from resnoise.summaries import prediction
from resnoise.summaries.bounds import COLUMNS, MEASURES
from resnoise.summaries.prediction import ALL, EQUAL_RISK, Pairs
from resnoise.tables import prediction as page

STATEMENTS = Path(__file__).resolve().parents[2] / "config" / "conjecture.yaml"
SETTINGS: dict[str, Any] = {"replicates": 200, "confidence": 0.9, "seed": 0}


def runs(
    depths: tuple[int, ...] = (8, 14), seeds: tuple[int, ...] = (1, 2), **columns: Any
) -> pd.DataFrame:
    """Return runs of two starts at some depths; measures are random unless given."""
    starts = [("plain", "kwi"), ("residual", "hmwi")]
    grid = [(*start, depth, seed) for start in starts for depth in depths for seed in seeds]
    table = pd.DataFrame(grid, columns=["architecture", "initialisation", "depth", "seed"])
    numbers = np.random.default_rng(4)
    for name in COLUMNS:
        if name not in table:
            table[name] = numbers.normal(size=len(table))
    table = table.assign(status="ok", risk=0.01, missing_identity=np.nan)
    return table.assign(**columns)[list(COLUMNS)]


def correlate(table: pd.DataFrame, **changed: Any) -> pd.DataFrame:
    found = prediction.correlations(table, equal_risk=0.1, **{**SETTINGS, **changed})
    return found.set_index(["comparison", "target", "measure"]).sort_index()


def test_tau_is_scipys_on_the_drawn_runs() -> None:
    numbers = np.random.default_rng(1)
    first = numbers.integers(6, size=15).astype(float)
    first[3] = first[7] = np.inf
    second = numbers.integers(6, size=15).astype(float)
    draws = numbers.multinomial(15, np.full(15, 1 / 15), size=20).astype(float)
    found = Pairs.of(first, second).tau(draws)
    ranks = stats.rankdata(first)
    for tau, draw in zip(found, draws, strict=True):
        drawn = np.repeat(np.arange(15), draw.astype(int))
        assert tau == pytest.approx(stats.kendalltau(ranks[drawn], second[drawn]).statistic)


def test_a_measure_that_orders_as_the_error_has_tau_one_and_the_reverse_minus_one() -> None:
    table = runs()
    table = table.assign(bound=table["test_error"] ** 3, path=-table["test_error"])
    found = correlate(table).loc[(EQUAL_RISK, "test_error")]
    names = ["tau", "tau_low", "tau_high", "granulated", "start", "depth", "seed"]
    assert (found.loc["bound", names] == 1).all() and (found.loc["path", names] == -1).all()
    assert (found["runs"].drop("missing_identity") == 8).all()


def test_granulated_correlations_are_means_over_groups_that_differ_in_one_factor() -> None:
    table = runs(depths=(8, 14, 20))
    found = correlate(table).loc[(EQUAL_RISK, "test_error", "noise")]
    expected = {}
    for factor, own in prediction.FACTORS.items():
        same = [name for name in prediction.RUN if name not in own]
        groups = [group for _, group in table.groupby(same)]
        assert all(len(group) > 1 for group in groups)
        expected[factor] = np.mean(
            [stats.kendalltau(group["noise"], group["test_error"]).statistic for group in groups]
        )
        assert found[factor] == pytest.approx(expected[factor])
    assert found["granulated"] == pytest.approx((expected["start"] + expected["depth"]) / 2)


def test_what_depends_on_depth_alone_predicts_nothing_at_one_depth() -> None:
    table = runs()
    table = table.assign(parameters=table["depth"], test_error=table["depth"] / 100)
    found = correlate(table).loc[(EQUAL_RISK, "test_error", "parameters")]
    assert found["tau"] == found["depth"] == 1
    # The error differs in no group of one depth.
    assert np.isnan(found["start"]) and np.isnan(found["seed"])
    # Where the error differs and the measure does not, it predicts nothing.
    other = table.assign(test_error=table["seed"] / 100)
    assert correlate(other).loc[(EQUAL_RISK, "test_error", "parameters"), "seed"] == 0


def test_of_a_measure_that_is_the_same_for_all_runs_nothing_is_known() -> None:
    """Bounds are infinite where the training error is larger than the margin loss allows."""
    found = correlate(runs(bound=np.inf)).loc[(EQUAL_RISK, "test_error", "bound")]
    assert found.drop("runs").isna().all()


def test_intervals_are_those_of_draws_of_runs_and_shrink_with_runs() -> None:
    few, many = runs(seeds=(1, 2)), runs(seeds=tuple(range(14)))
    widths = []
    for table in (few, many):
        found = correlate(table).loc[(EQUAL_RISK, "test_error", "noise")]
        assert found["tau_low"] < found["tau"] < found["tau_high"]
        widths.append(found["tau_high"] - found["tau_low"])
    assert widths[1] < widths[0] * 0.6
    again = correlate(few)
    pd.testing.assert_frame_equal(again, correlate(few))
    assert not again.equals(correlate(few, seed=1))


def test_runs_that_did_not_come_so_far_count_in_the_second_comparison_only() -> None:
    table = runs()
    table.loc[0, "risk"] = 2.3
    table.loc[1, "status"] = "diverged"
    table.loc[2, "bound"] = np.nan
    found = correlate(table)
    assert found.loc[(EQUAL_RISK, "gap", "noise"), "runs"] == 6
    assert found.loc[(ALL, "gap", "noise"), "runs"] == 7
    assert found.loc[(ALL, "gap", "bound"), "runs"] == 6
    made = page.markdown(found.reset_index(), table, 0.1)
    assert "the 6 of 8 runs whose training risk is at most 0.1" in made
    assert "1 that did not come so far" in made and "1 that diverged count nowhere" in made


def test_without_any_run_of_that_risk_nothing_is_known(tmp_path: Path) -> None:
    table = runs(risk=2.3)
    found = correlate(table)
    near = found.loc[EQUAL_RISK]
    assert (near["runs"] == 0).all() and near.drop(columns="runs").isna().all(axis=None)
    csvfile.write(tmp_path / "bounds.csv", table)
    made = page.make([tmp_path / "bounds.csv"], equal_risk=0.1, **SETTINGS)
    assert "the 0 of 8 runs" in made.text
    figure.draw(made.tables[0][made.tables[0]["comparison"] == EQUAL_RISK])


def test_only_runs_with_a_dose_tell_what_the_identity_does() -> None:
    table = runs()
    table.loc[:3, "missing_identity"] = [0.0, 0.25, 0.5, 0.75]
    table.loc[:3, "noise"] = [1.0, 2.0, 3.0, 4.0]
    found = correlate(table)
    assert found.loc[(ALL, "missing_identity", "noise"), "tau"] == 1
    assert found.loc[(ALL, "missing_identity", "noise"), "runs"] == 4
    assert (ALL, "missing_identity", "missing_identity") not in found.index


def test_the_figure_shows_the_measures_in_the_order_of_their_tau() -> None:
    table = correlate(runs()).reset_index()
    drawn = figure.draw(table[table["comparison"] == EQUAL_RISK])
    labels = [label.get_text() for label in drawn.axes[0].get_yticklabels()]
    taus = table[(table["comparison"] == EQUAL_RISK) & (table["target"] == "test_error")]
    order = taus.set_index("measure")["tau"].sort_values(na_position="first").index
    assert labels == [MEASURES[name] for name in order]


# The statements and what is concluded.


def verdicts(folder: Path, changes: dict[str, tuple[float, float, float]]) -> list[Any]:
    """Judge the statements; each is wholly on its side unless its id says otherwise."""
    claims = definition.read(STATEMENTS, {})
    rows = []
    for claim in claims:
        selection = claim.quantity
        assert isinstance(selection, definition.Selection) and selection.interval
        names = (selection.column, *selection.interval)
        values = changes.get(claim.id, (0.5, 0.2, 0.8))
        row: dict[str, Any] = dict(zip(names, values, strict=True))
        rows.append({**selection.where, "runs": 9, **row})
    # Several statements share a row of the table.
    keys = ["comparison", "target", "measure"]
    table = pd.DataFrame(rows).groupby(keys, as_index=False).first()
    csvfile.write(folder / "conjecture" / "prediction.csv", table)
    files = {"prediction": [ResultFile("conjecture/prediction.csv", {})]}
    results = Results(folder, files, replicates=1, seed=0)
    return conjecture.decide_all([judge(claim, results, {}, 0.95) for claim in claims])


OUTCOMES = {
    "all hold": ({}, "survives", 0, 0),
    "one interval on both sides": (
        {"tau-noise-gap": (0.2, -0.1, 0.5)},
        "is undecided",
        0,
        1,
    ),
    "one on the other side, and not clearly": (
        {"tau-noise-gap": (-0.2, -0.5, 0.1)},
        "is undecided",
        0,
        1,
    ),
    "one wholly on the other side": (
        {"tau-noise-gap": (-0.4, -0.6, -0.2), "tau-bound-gap": (0.2, -0.1, 0.5)},
        "does not survive",
        1,
        1,
    ),
    "one without an interval": ({"tau-noise-gap": (0.2, np.nan, np.nan)}, "is undecided", 0, 1),
    "one not measured": ({"tau-noise-gap": (np.nan, np.nan, np.nan)}, "is undecided", 0, 1),
}


@pytest.mark.parametrize("case", OUTCOMES)
def test_the_conjecture_survives_if_all_hold_and_not_if_one_fails(
    tmp_path: Path, case: str
) -> None:
    changes, outcome, failed, undecided = OUTCOMES[case]
    found = verdicts(tmp_path, changes)
    text = conjecture.sentence(found)
    held = len(found) - failed - undecided
    assert text == (
        f"The conjecture {outcome} on this data: of {len(found)} statements, {held} hold, {failed} "
        f"fail and {undecided} are undecided."
    )
    made = conjecture.table(found)
    assert text in made.text and len(made.tables[0]) == len(found)


def test_what_no_file_holds_is_undecided(tmp_path: Path) -> None:
    (claim,) = [c for c in definition.read(STATEMENTS, {}) if c.id == "identity-and-test-error"]
    lone = judge(claim, Results(tmp_path, {}, replicates=1, seed=0), {}, 0.95)
    assert lone.measured is None
    assert conjecture.decide(lone, {"greater": 0.0}).verdict == conjecture.UNDECIDED


def test_every_statement_is_of_a_measure_and_target_that_there_are() -> None:
    combinations = set(itertools.product(MEASURES, prediction.TARGETS))
    for claim in definition.read(STATEMENTS, {}):
        (selection,) = definition.claim_selections(claim)
        where = selection.where
        assert (where["measure"], where["target"]) in combinations
        assert where["comparison"] == EQUAL_RISK
        assert {selection.column, *(selection.interval or ())} <= {*prediction.COLUMNS}
