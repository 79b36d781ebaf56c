"""Table 5: residual and dominant-path networks beside the paper's numbers."""

import math
from typing import Any

import pandas as pd
import pytest

from resnoise.config.schema import SCHEMA_PATH
from resnoise.summaries.published import read_paper
from resnoise.tables.table5 import table5, table5_markdown

PAPER = read_paper(SCHEMA_PATH.with_name("paper.yaml"))


def evaluation(network: str, depth: int, seed: int, risk: float, error: float) -> dict[str, Any]:
    return {
        "architecture": network,
        "depth": depth,
        "initialisation": "hmwi",
        "seed": seed,
        "snapshot": "final",
        "status": "diverged" if math.isnan(risk) else "ok",
        "risk": risk,
        "cost": risk,
        "test_error": error,
    }


EVALUATIONS = pd.DataFrame(
    [
        evaluation("dominant-path", 44, 1, 1.1, 0.4),
        evaluation("dominant-path", 20, 1, 1.0, 0.3),
        evaluation("dominant-path", 20, 2, math.nan, math.nan),
        evaluation("dominant-path-lower-full", 20, 1, 0.7, 0.25),
        evaluation("residual", 20, 1, 0.05, 0.15),
        evaluation("residual", 20, 2, 0.03, 0.05),
        evaluation("residual", 44, 1, 0.08, 0.2),
        evaluation("plain", 20, 1, 0.06, 0.1),
    ]
)


def test_table5_has_shares_of_accuracy_and_growth_beside_the_papers() -> None:
    table = table5(EVALUATIONS, PAPER["table5"]).set_index(["depth", "network"])
    assert list(table.index) == [
        (20, "residual"),
        (20, "plain"),
        (20, "dominant-path"),
        (20, "dominant-path-lower-full"),
        (44, "residual"),
        (44, "dominant-path"),
    ]
    shallow, deep = table.loc[(20, "dominant-path")], table.loc[(44, "dominant-path")]
    assert (shallow["seeds"], shallow["diverged"], shallow["risk_mean"]) == (2, 1, 1.0)
    assert shallow["accuracy_share_mean"] == pytest.approx(0.7 / 0.9)
    assert deep["accuracy_share_mean"] == pytest.approx(0.6 / 0.8)
    assert deep["risk_growth_mean"] == pytest.approx(1.1)
    transferred = table.loc[(20, "plain")]
    assert transferred["risk_mean"] == 0.06 and transferred["accuracy_share_mean"] == 1
    assert math.isnan(transferred["risk_paper"])
    full = table.loc[(20, "dominant-path-lower-full")]
    assert full["accuracy_share_mean"] == pytest.approx(0.75 / 0.9)
    assert math.isnan(full["test_error_paper"])
    # "Around 77 %" and "only 1.001 times".
    assert shallow["accuracy_share_paper"] == pytest.approx(0.77, abs=0.005)
    assert deep["risk_growth_paper"] == pytest.approx(1.001, abs=0.0005)


def test_table5_to_read_marks_what_diverged_and_what_the_paper_says() -> None:
    lines = table5_markdown(table5(EVALUATIONS, PAPER["table5"])).splitlines()
    (line,) = [line for line in lines if line.startswith("| 20 ") and "dominant-path " in line]
    cells = [cell.strip() for cell in line.split("|")[1:-1]]
    assert cells[2] == "2 (1 diverged)"
    assert cells[3] == "1.000 (0.9385)"
    assert cells[4] == "0.3000 (0.3152)"
    assert "77" in cells[5]
    assert any("| plain, T(HMWI)" in line for line in lines)


def test_table5_without_a_residual_run_has_no_share() -> None:
    alone = EVALUATIONS[EVALUATIONS["architecture"] != "residual"]
    assert table5(alone, {})["accuracy_share_mean"].isna().all()
