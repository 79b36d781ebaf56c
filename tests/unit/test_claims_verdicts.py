"""Verdicts on made-up results: each rule, each scale, and how verdicts are counted."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from resnoise.claims import definition, names, outcomes, page
from resnoise.claims.definition import Claim, Operation, Rule, Selection, Source
from resnoise.claims.files import ResultFile
from resnoise.claims.names import (
    DIRECTION,
    FAILED,
    NOT_COMPARABLE,
    NOT_MEASURED,
    NUMBER,
    REPRODUCED,
    STATEMENT,
    VERDICTS,
)
from resnoise.claims.quantities import Results
from resnoise.claims.verdicts import Judgement, judge
from resnoise.errors import ResnoiseError
from resnoise.storage import csvfile

SOURCE = Source("trained", "evaluation.csv", "table1", {}, "runs")
RISK = Selection(SOURCE, "risk", {}, None, "only", (), None)


def claim(*, published: float | None = None, **rule: Any) -> Claim:
    """Return a claim about the risk of the only network."""
    judged = Rule(
        rule.get("within"),
        rule.get("within_absolute"),
        rule.get("greater"),
        rule.get("less"),
        rule.get("one_run_suffices", False),
    )
    return Claim("risk", "Table 1", "The risk.", RISK, published, "", judged, ("data",))


def verdict(
    folder: Path, values: list[float], wanted: Claim, **differences: list[str]
) -> Judgement:
    """Return the judgement on runs with the given risks."""
    found = []
    for seed, value in enumerate(values, start=1):
        csvfile.write(folder / f"{seed}.csv", pd.DataFrame({"risk": [value]}))
        found.append(
            ResultFile(f"{seed}.csv", {"architecture": "plain", "depth": 20, "seed": seed})
        )
    results = Results(folder, {"trained": found}, replicates=1000, seed=0)
    return judge(wanted, results, differences, 0.95)


@pytest.mark.parametrize(
    ("values", "rule", "expected"),
    [
        # A number near the published one, at the edge of the tolerance, and beyond.
        ([1.0, 1.1], {"published": 1.0, "within": 0.1}, REPRODUCED),
        ([1.09], {"published": 1.0, "within": 0.1}, REPRODUCED),
        ([1.11], {"published": 1.0, "within": 0.1}, FAILED),
        ([0.89], {"published": 1.0, "within": 0.1}, FAILED),
        ([-1.0], {"published": 1.0, "within": 0.1}, FAILED),
        ([3.0], {"published": 2.0, "within_absolute": 1}, REPRODUCED),
        ([4.0], {"published": 2.0, "within_absolute": 1}, FAILED),
        # An interval that holds the published number does not make a far one near.
        ([0.0, 3.0], {"published": 1.0, "within": 0.1}, FAILED),
        # Beyond the tolerance, but in the direction; near, but against the direction.
        ([5.0], {"published": 2.0, "within": 0.1, "greater": 1.0}, DIRECTION),
        ([0.5], {"published": 2.0, "within": 0.1, "greater": 1.0}, FAILED),
        ([1.0], {"published": 1.05, "within": 0.1, "greater": 1.0}, FAILED),
        # A direction: in the whole interval, for the mean alone, not at all, at the bound.
        ([1.5, 1.6, 1.7], {"greater": 1.0}, REPRODUCED),
        ([0.9, 1.6, 1.7], {"greater": 1.0}, DIRECTION),
        ([0.1, 0.2, 1.7], {"greater": 1.0}, FAILED),
        ([1.0, 1.0], {"greater": 1.0}, FAILED),
        ([0.5, 0.6, 0.7], {"less": 1.0}, REPRODUCED),
        ([0.5, 0.6, 1.7], {"less": 1.0}, DIRECTION),
        ([1.5, 1.6], {"less": 1.0}, FAILED),
        # One run shows no more than a direction, unless chance has no part in it.
        ([1.5], {"greater": 1.0}, DIRECTION),
        ([0.5], {"greater": 1.0}, FAILED),
        ([1.5], {"greater": 1.0, "one_run_suffices": True}, REPRODUCED),
        ([0.5], {"greater": 1.0, "one_run_suffices": True}, FAILED),
        # Between two bounds.
        ([1.0, 1.1], {"greater": 0.8, "less": 1.2}, REPRODUCED),
        ([0.7, 0.7], {"greater": 0.8, "less": 1.2}, FAILED),
        ([1.3, 1.3], {"greater": 0.8, "less": 1.2}, FAILED),
        ([1.0, 1.3], {"greater": 0.8, "less": 1.2}, DIRECTION),
    ],
)
def test_rules(tmp_path: Path, values: list[float], rule: Any, expected: str) -> None:
    judgement = verdict(tmp_path, values, claim(**rule))
    assert judgement.verdict == expected, judgement.reason
    assert judgement.measured == pytest.approx(np.mean(values))
    assert (judgement.low is None) == (len(values) == 1)
    assert judgement.runs == len(values)


def test_the_interval_is_the_bootstraps(tmp_path: Path) -> None:
    judgement = verdict(tmp_path, [1.0, 2.0], claim(greater=0.0))
    # Of two seeds a quarter of the draws takes the first one twice.
    assert (judgement.low, judgement.high) == (1.0, 2.0)
    assert "bootstrap over 2 seeds" in judgement.reason


def of_table(folder: Path, runs: int, **selection: Any) -> Judgement:
    """Return the judgement on a number above 1 of a file that holds such numbers of many runs."""
    row = {"risk": 2.0, "low": 1.5, "high": 2.5, "runs": runs}
    csvfile.write(folder / "table.csv", pd.DataFrame([row]))
    results = Results(folder, {"table": [ResultFile("table.csv", {})]}, replicates=100, seed=0)
    source = Source("table", "table.csv", None, {}, "a table")
    risk = Selection(source, "risk", {}, None, "only", ("runs",), selection.get("interval"))
    wanted = dataclasses.replace(claim(greater=1.0), quantity=risk)
    return judge(wanted, results, {}, 0.95)


def test_a_table_of_results_shows_no_more_than_its_runs_do(tmp_path: Path) -> None:
    without = of_table(tmp_path, 3)
    assert (without.verdict, without.low) == (DIRECTION, None)
    assert without.reason.endswith("without an interval over the 3 runs")
    own = of_table(tmp_path, 3, interval=("low", "high"))
    assert (own.verdict, own.low, own.high) == (REPRODUCED, 1.5, 2.5)
    # Its interval may be one over pictures.
    single = of_table(tmp_path, 1, interval=("low", "high"))
    assert single.verdict == DIRECTION and single.reason.endswith("in a single run")


PLAIN, RESIDUAL = (
    dataclasses.replace(RISK, where={"architecture": name}) for name in ("plain", "residual")
)


@pytest.mark.parametrize(
    "wanted",
    [
        dataclasses.replace(claim(greater=1.0), quantity=Operation("ratio", (PLAIN, RESIDUAL))),
        dataclasses.replace(claim(greater=RESIDUAL), quantity=PLAIN),
    ],
    ids=["ratio", "bound"],
)
def test_one_seed_on_one_side_leaves_no_interval(tmp_path: Path, wanted: Claim) -> None:
    found = []
    for network, seed, value in [("plain", 1, 4.0), ("plain", 2, 5.0), ("residual", 1, 1.0)]:
        file = f"{network}{seed}.csv"
        csvfile.write(tmp_path / file, pd.DataFrame({"risk": [value]}))
        found.append(ResultFile(file, {"architecture": network, "depth": 20, "seed": seed}))
    results = Results(tmp_path, {"trained": found}, replicates=100, seed=0)
    judgement = judge(wanted, results, {}, 0.95)
    assert (judgement.measured, judgement.low, judgement.runs) == (4.5, None, 1)
    assert judgement.verdict == DIRECTION and "single run" in judgement.reason


def test_a_number_alone_is_not_comparable_at_a_reduced_scale(tmp_path: Path) -> None:
    number = claim(published=1.0, within=0.1)
    paper = verdict(tmp_path, [1.0, 1.0], number, data=[])
    assert (paper.label, paper.scale, paper.differences) == ("reproduced", "paper", ())
    # Neither a near nor a far one.
    for value in (1.0, 9.0):
        short = verdict(tmp_path, [value, value], number, data=["digits"])
        assert short.verdict == short.label == NOT_COMPARABLE
        assert (short.scale, short.measured, short.differences) == ("reduced", value, ("digits",))
        assert short.reason.startswith("not as in the paper: the pictures")
    # A part of the configuration that the claim does not depend on does not matter.
    other = verdict(tmp_path, [1.0, 1.0], number, networks=["width 4"])
    assert (other.verdict, other.scale) == (REPRODUCED, "paper")
    theory = dataclasses.replace(number, scale=())
    independent = verdict(tmp_path, [1.0], theory, data=["digits"])
    assert (independent.label, independent.scale) == ("reproduced", "any")


@pytest.mark.parametrize(
    ("values", "rule", "expected"),
    [
        # Without a published number: as at the paper's scale.
        ([1.5, 1.6], {"greater": 1.0}, "reproduced, at reduced scale"),
        ([0.9, 1.6], {"greater": 1.0}, "direction only, at reduced scale"),
        ([0.5, 0.6], {"greater": 1.0}, "not reproduced, at reduced scale"),
        # With one: the direction alone, however near the number.
        ([1.5, 1.6], {"published": 1.5, "within": 0.1, "greater": 1.0}, "direction only"),
        ([9.0, 9.1], {"published": 1.5, "within": 0.1, "greater": 1.0}, "direction only"),
        ([0.9, 0.9], {"published": 1.0, "within": 0.2, "greater": 1.0}, "not reproduced"),
    ],
)
def test_statements_are_judged_at_a_reduced_scale_too(
    tmp_path: Path, values: list[float], rule: Any, expected: str
) -> None:
    judgement = verdict(tmp_path, values, claim(**rule), data=["digits"])
    assert judgement.label == f"{expected.partition(',')[0]}, at reduced scale"
    compared = "number not compared (not as in the paper: the pictures)" in judgement.reason
    assert compared == ("published" in rule and judgement.verdict == DIRECTION)


def test_a_mean_over_fewer_runs_is_compared(tmp_path: Path) -> None:
    fewer = dataclasses.replace(claim(published=1.0, within=0.1), runs=10)
    near = verdict(tmp_path, [1.0, 1.0], fewer)
    assert near.differences == ("2 runs instead of 10",)
    assert near.label == "reproduced, at reduced scale"
    assert verdict(tmp_path, [2.0, 2.0], fewer).verdict == FAILED
    # Unless something else differs too.
    both = verdict(tmp_path, [1.0, 1.0], fewer, data=["digits"])
    assert both.verdict == NOT_COMPARABLE
    assert both.differences == ("digits", "2 runs instead of 10")


def test_keys_below_a_part_count_with_it(tmp_path: Path) -> None:
    whole = dataclasses.replace(claim(published=1.0, within=0.1), scale=("training.simplified",))
    key = dataclasses.replace(whole, scale=("training.simplified.batch_size",))
    batches: dict[str, Any] = {"training.simplified.batch_size": ["batch size 8"]}
    epochs: dict[str, Any] = {"training.simplified": ["epochs 3"]}
    assert verdict(tmp_path, [1.0], whole, **batches).verdict == NOT_COMPARABLE
    assert verdict(tmp_path, [1.0], key, **batches).reason.startswith(
        "not as in the paper: the batch size"
    )
    assert verdict(tmp_path, [1.0], key, **epochs).verdict == REPRODUCED


def test_the_page_says_what_is_reduced_and_counts(tmp_path: Path) -> None:
    statement, number = claim(greater=0.5), claim(published=1.0, within=0.1)
    judgements = [
        verdict(tmp_path, [1.0, 1.0], number, data=["digits"]),
        verdict(tmp_path, [1.0, 1.0], number),
        verdict(tmp_path, [1.0, 1.0], statement, data=["digits"]),
        verdict(tmp_path, [1.0], statement),
        verdict(tmp_path, [0.0], statement),
        verdict(tmp_path, [np.inf], statement),
    ]
    text = page.markdown(judgements, 0.95, {"data": ["digits"], "twins": []})
    assert "reproduced, at reduced scale" in text
    assert "as far as the paper says:\n\n- Data: digits\n\n## Measured" in text
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in text.partition("\n\n")[2].splitlines()[2:]
        if line.startswith("|")
    ]
    assert rows[:10] == [
        ["statements that hold", "2", "1", "1"],
        ["- reproduced", "1", "0", "1"],
        ["- direction only", "1", "1", "0"],
        ["statements that do not hold", "1", "1", "0"],
        ["numbers compared", "2", "1", "1"],
        ["- reproduced", "1", "1", "0"],
        ["- not reproduced", "0", "0", "0"],
        ["- not comparable at this scale", "1", "0", "1"],
        ["not measured at this scale", "1", "1", "0"],
        ["all claims", "6", "4", "2"],
    ]
    assert outcomes.lines(page.count(judgements)) == [
        "   2 statements that hold (1 reproduced, 1 direction only)",
        "   1 statements that do not hold",
        "   2 numbers compared (1 reproduced, 1 not comparable at this scale)",
        "   1 not measured at this scale",
    ]


def test_each_kind_and_verdict_has_one_outcome() -> None:
    pairs = [(k, v) for one in outcomes.OUTCOMES for k in one.kinds for v in one.verdicts]
    assert len(pairs) == len({*pairs})
    every = {(kind, verdict) for kind in (STATEMENT, NUMBER) for verdict in VERDICTS}
    # What no claim can have: a number without direction, and a statement that is not comparable.
    assert every - {*pairs} == {(NUMBER, DIRECTION), (STATEMENT, NOT_COMPARABLE)}


def test_what_is_not_there_is_not_measured(tmp_path: Path) -> None:
    results = Results(tmp_path, {}, replicates=100, seed=0)
    judgement = judge(claim(greater=0.0), results, {"data": ["digits"]}, 0.95)
    assert (judgement.verdict, judgement.measured) == (NOT_MEASURED, None)
    assert judgement.reason == "this configuration makes no runs"
    assert judgement.label == "not measured at this scale"


def test_infinity_is_no_measurement(tmp_path: Path) -> None:
    assert verdict(tmp_path, [np.inf], claim(greater=0.0)).verdict == NOT_MEASURED


def test_a_draw_without_the_quantity_leaves_no_interval(tmp_path: Path) -> None:
    # A ratio whose denominator is zero for one seed is infinite in the draws of that seed alone.
    ratio = definition.Operation("ratio", (1.0, RISK))
    wanted = dataclasses.replace(claim(greater=0.5), quantity=ratio)
    judgement = verdict(tmp_path, [0.0, 1.0], wanted)
    assert judgement.measured == 2.0
    assert (judgement.low, judgement.high) == (None, None)


def test_a_mistake_names_the_claim(tmp_path: Path) -> None:
    wrong = dataclasses.replace(
        claim(greater=0.0), quantity=dataclasses.replace(RISK, column="loss")
    )
    with pytest.raises(ResnoiseError, match=r"claim risk: .*no column loss"):
        verdict(tmp_path, [1.0], wrong)


def test_differences_of_one_section_share_a_line() -> None:
    found = {
        "data": [],
        "training.simplified": ["epochs 3 instead of 200"],
        "training.simplified.batch_size": ["batch size 8 instead of 128"],
        "twins": ["twins: precision float32 instead of float64"],
    }
    lines = [
        "Training of simplified networks: epochs 3 instead of 200, batch size 8 instead of 128",
        "twins: precision float32 instead of float64",
    ]
    of_claims = ["epochs 3 instead of 200; batch size 8 instead of 128", ""]
    assert names.by_section(found, of_claims) == lines
    fewer = [names.fewer_runs(1, 10), f"epochs 3 instead of 200; {names.fewer_runs(3, 10)}"] * 2
    assert names.by_section(found, [*of_claims, *fewer]) == [
        *lines,
        "Runs: 1 runs instead of 10, 3 runs instead of 10",
    ]
