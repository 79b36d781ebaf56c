"""The paper's own claims on made-up results: Table 1 as printed, with noise between seeds."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from resnoise.claims import definition, files, page
from resnoise.claims.names import (
    DIRECTION,
    FAILED,
    NOT_COMPARABLE,
    NOT_MEASURED,
    NUMBER,
    REPRODUCED,
    STATEMENT,
)
from resnoise.claims.quantities import Results
from resnoise.claims.settings import claim_settings
from resnoise.claims.verdicts import Judgement, judge
from resnoise.config import load as configuration
from resnoise.plan import grid
from resnoise.storage import csvfile
from resnoise.storage.pages import read_page
from resnoise.summaries.published import read_paper

PAPER = Path(__file__).resolve().parents[2] / "config" / "paper.yaml"
SETTINGS = claim_settings(configuration.load({}))


@pytest.fixture(scope="module")
def as_printed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a results folder in which Table 1 and Table 4 come out as the paper prints them."""
    folder = tmp_path_factory.mktemp("results")
    numbers = read_paper(PAPER)
    for run in grid.table1_runs(configuration.load({})):
        noise = 1 + 0.01 * (run.seed - 2)
        printed = numbers["table1"][run.depth][run.architecture]
        before = numbers["table4"][run.depth]["before"][run.architecture]
        initial = {**before, "cost": before["risk"], "test_error": 0.9}
        final = {name: value * noise for name, value in printed.items()}
        final["weight_term"] = numbers["table4"][run.depth]["after"][run.architecture][
            "weight_term"
        ]
        rows = [
            {
                "snapshot": snapshot,
                "status": "ok",
                **dict(run._asdict()),
                "weight_term": 5e-4,
                "parameters": 1000 * run.depth,
                **row,
            }
            for snapshot, row in (("initial", initial), ("final", final))
        ]
        path = folder / run.folder / "evaluation.csv"
        path.parent.mkdir(parents=True)
        csvfile.write(path, pd.DataFrame(rows))
        epochs = np.arange(1, 201)
        slower = 1.5 if run.architecture == "plain" else 1.0
        risk = printed["risk"] + 2.3 * np.exp(-epochs / (10 * slower))
        error = printed["test_error"] + 0.1 * (slower - 1) + 0.2 * risk
        curve = {"epoch": epochs, "risk": risk, "test_error": error, "status": "ok"}
        csvfile.write(path.with_name("history.csv"), pd.DataFrame(curve))
    return folder


def judged(folder: Path, **differences: list[str]) -> dict[str, Judgement]:
    """Return the judgements on a results folder that has the runs of Table 1 and nothing else."""
    claims = definition.read(PAPER, SETTINGS)
    sets: dict[str, Any] = dict.fromkeys(grid.claim_runs(configuration.load({})), ())
    sets["table1"] = grid.claim_runs(configuration.load({}))["table1"]
    needed = files.needed(claims, sets, ())
    results = Results(folder, needed, replicates=200, seed=0)
    return {one.id: judge(one, results, differences, 0.95) for one in claims}


def changed(source: Path, folder: Path, edit: Callable[[pd.DataFrame], None], runs: str) -> Path:
    """Return a copy of the results in which ``edit`` has changed the evaluations of some runs."""
    shutil.copytree(source, folder / "results")
    paths = sorted((folder / "results").glob(f"runs/{runs}/*/*/evaluation.csv"))
    assert paths
    for path in paths:
        rows = pd.read_csv(path)
        edit(rows)
        csvfile.write(path, rows)
    return folder / "results"


def test_results_as_printed_are_reproduced(as_printed: Path) -> None:
    judgements = judged(as_printed)
    measured = [one for one in judgements.values() if one.measured is not None]
    assert len(measured) >= 55
    failures = [f"{one.claim.id}: {one.reason}" for one in measured if one.verdict != REPRODUCED]
    assert not failures
    assert all(one.scale == "paper" for one in measured)
    assert judgements["plain-risk-growth"].measured == pytest.approx(6.85, abs=0.01)
    assert judgements["residual-risk-growth"].measured == pytest.approx(1.73, abs=0.01)
    assert judgements["risk-against-weight-term"].measured == pytest.approx(4281, abs=2)
    assert judgements["table2-20-plain-risk"].verdict == NOT_MEASURED


def test_on_another_data_set_the_same_results_are_of_a_reduced_scale(as_printed: Path) -> None:
    for one in judged(as_printed, data=["digits"]).values():
        if one.measured is not None and "data" in one.claim.scale:
            assert (
                one.label
                == {
                    (NUMBER, True): NOT_COMPARABLE,
                    (STATEMENT, True): "direction only, at reduced scale",
                    (STATEMENT, False): "reproduced, at reduced scale",
                }[one.claim.kind, one.claim.published is not None]
            )


def test_a_network_that_is_not_trained_passes_no_claim_on_table_4(
    as_printed: Path, tmp_path: Path
) -> None:
    """Nor does one that guesses, whose risk is ln 10."""

    def untrained(rows: pd.DataFrame) -> None:
        rows["weight_term"] = rows["weight_term"].iloc[0]
        rows["risk"] = np.log(10)

    found = judged(changed(as_printed, tmp_path, untrained, "*"))
    table4 = {name: one for name, one in found.items() if name.startswith("table4-")}
    judged_now = {name for name, one in table4.items() if one.verdict != NOT_MEASURED}
    assert len(judged_now) >= 12
    passed = {name for name in judged_now if table4[name].verdict != FAILED}
    # The weight term before training is that of every such network.
    assert passed == {f"table4-{depth}-plain-weight-term-before" for depth in (20, 32, 44)}


def test_a_lead_that_shrinks_again_is_found(as_printed: Path, tmp_path: Path) -> None:
    """At depth 44 it must be above those of both smaller depths."""

    def between(rows: pd.DataFrame) -> None:
        # The lead is 0.067 at depth 44, 0.074 at 32 and 0.029 at 20.
        rows.loc[rows["snapshot"] == "final", "risk"] = 0.141

    found = judged(changed(as_printed, tmp_path, between, "plain-44"))
    assert found["discrepancy-in-risk-grows-to-depth-44"].verdict == FAILED
    assert found["discrepancy-in-risk-grows-to-depth-32"].verdict == REPRODUCED


def test_a_worse_residual_network_is_found(as_printed: Path, tmp_path: Path) -> None:
    def worse(rows: pd.DataFrame) -> None:
        rows.loc[rows["snapshot"] == "final", ["risk", "cost", "test_error"]] *= 10

    found = judged(changed(as_printed, tmp_path, worse, "residual-44"))
    for name in (
        "table1-44-residual-risk",
        "table1-44-residual-cost",
        "table1-44-residual-test-error",
        "residual-has-smaller-risk-44",
        "residual-has-smaller-test-error-44",
        "discrepancy-in-risk-grows-to-depth-44",
        "discrepancy-in-test_error-grows-to-depth-44",
        "degradation-is-smaller",
        "residual-risk-growth",
        "residual-test-error-stays",
    ):
        assert found[name].verdict == FAILED, name
    assert found["table1-20-residual-risk"].verdict == REPRODUCED
    assert found["plain-risk-growth"].verdict == REPRODUCED


def test_plain_networks_that_do_not_degrade_are_found(as_printed: Path, tmp_path: Path) -> None:
    def better(rows: pd.DataFrame) -> None:
        rows.loc[rows["snapshot"] == "final", ["risk", "cost", "test_error"]] *= 0.15

    found = judged(changed(as_printed, tmp_path, better, "plain-44"))
    assert found["plain-risk-growth"].verdict == FAILED
    assert found["plain-test-error-rises"].verdict == FAILED
    assert found["degradation-is-smaller"].verdict == FAILED


def test_an_ordering_that_one_seed_breaks_is_a_direction_only(
    as_printed: Path, tmp_path: Path
) -> None:
    def unlucky(rows: pd.DataFrame) -> None:
        if (rows["seed"] == 1).all():
            rows.loc[rows["snapshot"] == "final", "risk"] = 0.12

    found = judged(changed(as_printed, tmp_path, unlucky, "residual-20"))
    one = found["residual-has-smaller-risk-20"]
    # The mean leads, but not in all draws of the three runs.
    assert one.verdict == DIRECTION
    assert one.low is not None and one.high is not None and one.low < 1 < one.high


def test_diverged_runs_count_in_no_number(as_printed: Path, tmp_path: Path) -> None:
    def diverge(rows: pd.DataFrame) -> None:
        if (rows["seed"] == 2).all():
            rows["status"] = "diverged"
            rows["risk"] = np.nan

    one = judged(changed(as_printed, tmp_path, diverge, "plain-20"))["table1-20-plain-risk"]
    assert one.verdict == REPRODUCED and one.runs == 2


def test_the_table_has_a_row_for_each_claim(as_printed: Path, tmp_path: Path) -> None:
    judgements = [*judged(as_printed).values()]
    text = page.write(judgements, 0.95, {}, tmp_path / "claims.csv", tmp_path / "claims.md")
    table = pd.read_csv(tmp_path / "claims.csv")
    assert list(table.columns) == list(page.COLUMNS)
    assert list(table["id"]) == [one.claim.id for one in judgements]
    assert text == read_page(tmp_path / "claims.md")
    for one in judgements:
        assert (one.claim.statement if one.measured is not None else one.claim.id) in text
