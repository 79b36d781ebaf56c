"""The summary at the end of a run."""

from pathlib import Path

import pandas as pd
import pytest

from resnoise.claims.names import (
    DIRECTION,
    FAILED,
    NOT_COMPARABLE,
    NOT_MEASURED,
    NUMBER,
    REDUCED_SCALE,
    REPRODUCED,
    STATEMENT,
)
from resnoise.console import summary
from resnoise.errors import ResnoiseError
from resnoise.storage import csvfile
from resnoise.storage.pages import write_page


def write_table1(folder: Path, seeds: int = 1) -> Path:
    """Write as much of a Table 1 as matters; the plain network of depth 44 diverged."""
    rows = [
        {
            "depth": depth,
            "network": network,
            "initialisation": initialisation,
            "seeds": seeds,
            "diverged": seeds if risk is None else diverged,
            "risk_mean": risk,
            "test_error_mean": error,
        }
        for depth, network, initialisation, risk, error, diverged in (
            (20, "plain", "kwi", 0.00861234, 0.025, 0),
            (20, "residual", "hmwi", 0.0008, 0.017, 0),
            (44, "plain", "kwi", None, None, 0),
            (44, "residual", "hmwi", 0.0028, 0.5, 1 if seeds > 1 else 0),
        )
    ]
    file = folder / "table1.csv"
    csvfile.write(file, pd.DataFrame(rows))
    return file


def write_claims(folder: Path, *rows: tuple[str, str]) -> Path:
    """Write claims of a reduced scale, given by kind and verdict."""
    file = folder / "claims.csv"
    claims = pd.DataFrame(rows, columns=["kind", "verdict"]).assign(scale=REDUCED_SCALE)
    csvfile.write(file, claims)
    return file


def test_plain_and_residual_networks_stand_beside_each_other_by_depth(tmp_path: Path) -> None:
    assert summary.comparison(write_table1(tmp_path)).splitlines() == [
        f"Training risk, test error ({tmp_path}/table1.md):",
        "  depth   plain, KWI        residual, HMWI",
        "  20      0.00861, 0.0250   0.000800, 0.0170",
        "  44      diverged          0.00280, 0.500",
    ]


def test_several_seeds_are_told(tmp_path: Path) -> None:
    text = summary.comparison(write_table1(tmp_path, seeds=3))
    assert "test error, means over 3 seeds (" in text
    assert text.endswith("0.00280, 0.500 (1 diverged)")


def test_statements_and_numbers_are_counted_apart_by_verdict(tmp_path: Path) -> None:
    file = write_claims(
        tmp_path,
        (STATEMENT, NOT_MEASURED),
        (STATEMENT, REPRODUCED),
        (STATEMENT, DIRECTION),
        (STATEMENT, FAILED),
        (NUMBER, NOT_COMPARABLE),
        (NUMBER, NOT_MEASURED),
    )
    assert summary.verdicts(file).splitlines() == [
        f"The paper's claims ({tmp_path}/claims.md):",
        f"   2 statements that hold (1 {REPRODUCED}, 1 {DIRECTION})",
        "   1 statements that do not hold",
        f"   1 numbers compared (1 {NOT_COMPARABLE})",
        "   2 not measured at this scale",
    ]


def test_all_of_it_is_about_ten_lines(tmp_path: Path) -> None:
    files = [write_table1(tmp_path), write_claims(tmp_path, (STATEMENT, REPRODUCED))]
    outputs = [*files, tmp_path / "report.html", tmp_path / "table1.md", "other/table1.csv"]
    lines = summary.text(tmp_path, map(str, outputs)).splitlines()
    assert [line.partition(" (")[0] for line in lines if line[:1].strip()] == [
        "Training risk, test error",
        "The paper's claims",
        f"Everything on one page: {tmp_path}/report.html",
    ]
    assert len(lines) <= 12
    # Claims do not need the table.
    assert "Training risk" not in summary.text(tmp_path, map(str, outputs[1:]))


def test_tables_that_were_asked_for_alone_are_shown(tmp_path: Path) -> None:
    for name in ("table5", "table1"):
        write_page(tmp_path / f"{name}.md", f"# {name}\n\n| a |\n")
    outputs = [tmp_path / name for name in ("table5.md", "table1.md", "table1.csv")]
    assert summary.text(tmp_path, map(str, outputs)).split("\n\n") == [
        *("# table1", "| a |", f"({tmp_path}/table1.md)"),
        *("# table5", "| a |", f"({tmp_path}/table5.md)"),
    ]


def test_nothing_to_show_is_no_text(tmp_path: Path) -> None:
    assert summary.text(tmp_path, ["runs/plain-8/kwi/seed1/run.json"]) == ""


def test_a_file_that_was_changed_is_named(tmp_path: Path) -> None:
    file = write_claims(tmp_path, (STATEMENT, REPRODUCED))
    file.write_text("published,verdict\n,reproduced\n,reproduced\n", "utf-8")
    with pytest.raises(ResnoiseError, match=r"claims\.csv: content has SHA-256"):
        summary.text(tmp_path, [str(file)])
