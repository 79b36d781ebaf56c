"""The claims about Figure 12 by three readings, on made-up flows whose verdicts are known."""

from pathlib import Path

import pandas as pd
import pytest

from resnoise.claims import definition, files, readings
from resnoise.claims.settings import claim_settings
from resnoise.config import load as configuration
from resnoise.plan import grid
from resnoise.specs.flow import READINGS
from resnoise.storage import csvfile

PAPER = Path(__file__).resolve().parents[2] / "config" / "paper.yaml"

# Reading -> f of plain networks in layers 1 and 2, and of residual ones, all along.
FLOWS = {
    "set": {"plain": (0.5, 0.1), "residual": (0.6, 0.9)},
    "single": {"plain": (0.1, 0.1), "residual": (0.2, 0.9)},
    "carriers": {"plain": (0.5, 0.1), "residual": (0.6, 0.05)},
}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Return the table of a configuration with flows in layers 1 and 30, and no others."""
    folder = tmp_path_factory.mktemp("results")
    config = configuration.load({"gradient_flow": {"reading": "set", "seeds": [1, 2]}})
    for run in grid.gradient_flow_runs(config):
        kind = run.architecture.removeprefix("full-")
        flow = [
            {
                "reading": reading,
                "snapshot": snapshot,
                "epoch": epoch,
                "layer": layer,
                "place": "block output",
                "f_mean": value,
            }
            for reading, values in FLOWS.items()
            for snapshot, epoch in (("iteration1", 0.01), ("epoch100", 100.0), ("final", 200.0))
            for layer, value in zip((1, 30), values[kind], strict=True)
        ]
        path = folder / run.folder / "gradient_flow.csv"
        path.parent.mkdir(parents=True)
        csvfile.write(path, pd.DataFrame(flow))
        curve = {"epoch": [0.01, 100.0, 200.0], "risk": [2.0, 1.0, 0.5 if kind == "plain" else 0.1]}
        csvfile.write(path.with_name("history.csv"), pd.DataFrame({**curve, "status": "ok"}))
    settings = claim_settings(config)
    needed = files.needed(definition.read(PAPER, settings), grid.claim_runs(config), ())
    files_of = {name: needed[name] for name in ("flow", "flow-curves")}
    return readings.table(readings.by_reading(PAPER, settings, folder, files_of))


def test_each_reading_is_judged_by_its_own_numbers(rows: pd.DataFrame) -> None:
    found = rows.set_index("id")
    deep = found.loc["flow-ratio-simplified-deep"]
    assert deep["set_measured"] == deep["single_measured"] == pytest.approx(9)
    assert deep["carriers_measured"] == pytest.approx(0.5)
    assert list(found.loc["plain-flow-is-even-at-final", [f"{r}_holds" for r in READINGS]]) == [
        False,
        True,
        False,
    ]
    larger = found.loc["flow-is-larger-in-all-layers-at-the-end"]
    assert larger["set_holds"] and larger["single_holds"] and not larger["carriers_holds"]
    # A number is shown and not judged.
    assert found.loc["flow-ratio-simplified-shallow", "kind"] == "number"
    assert pd.isna(found.loc["flow-ratio-simplified-shallow", "set_holds"])


def test_all_claims_about_the_flow_are_there_and_no_others(rows: pd.DataFrame) -> None:
    claims = definition.read(PAPER, claim_settings(configuration.load({})))
    about = {claim.id for claim in claims if "flow" in definition.sources(claim)}
    assert set(rows["id"]) == about and len(about) >= 20


def test_the_page_counts_what_holds(rows: pd.DataFrame, tmp_path: Path) -> None:
    text = readings.markdown(rows, "set")
    (counts,) = [line for line in text.splitlines() if line.startswith("| statements that hold")]
    cells = [cell.strip() for cell in counts.split("|")[3:-1]]
    for reading, cell in zip(READINGS, cells, strict=True):
        held, _, all_of_them = cell.partition(" of ")
        assert int(held) == (rows[f"{reading}_holds"] == True).sum()  # noqa: E712
        assert int(all_of_them) == (rows["kind"] == "statement").sum()
    assert "use the reading set" in text
    assert ", does not hold" in text and ", holds" in text
