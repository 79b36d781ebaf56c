"""The runs that test the paper's conjecture: their list, summaries, figures and table."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from test_figure_texts import overlapping

from resnoise.config import load as config
from resnoise.errors import ResnoiseError
from resnoise.figures import conjecture_cushion, conjecture_dose, conjecture_flow
from resnoise.plan import grid
from resnoise.specs.flow import READINGS
from resnoise.storage import csvfile
from resnoise.storage.digests import stamp, write_json
from resnoise.summaries.conjecture import cushions, dose, evaluations, flows, over_doses
from resnoise.tables import conjecture_runs

SMALL = {"depths": [8, 14], "seeds": [1, 2]}
DOSES = ("id-entries_alpha=0.5", "id-entries_alpha=1")


def section(**keys: Any) -> dict[str, Any]:
    return config.load({"conjecture": {**SMALL, **keys}})


def test_the_runs_are_doses_causes_and_the_papers_networks_each_once() -> None:
    others = [
        {"initialisation": {"name": "id-entries", "alpha": 1, "noise": 4}},
        {"architecture": "residual", "initialisation": "t-inverse-kwi"},
        # These are among the others anyway.
        {"initialisation": "id-entries_alpha=0.5"},
        {"architecture": "residual", "initialisation": "hmwi"},
    ]
    loaded = section(doses=[0.5, 1], others=others)
    runs = grid.conjecture_runs(loaded)
    kinds = [*dict.fromkeys((run.architecture, run.initialisation) for run in runs)]
    assert kinds == [
        ("plain", "kwi"),
        *(("plain", name) for name in DOSES),
        ("residual", "hmwi"),
        ("plain", "id-entries_alpha=1_noise=4"),
        ("residual", "t-inverse-kwi"),
    ]
    assert len(runs) == len({*runs}) == 4 * len(kinds)
    assert runs[: 4 * 4] == grid.dose_runs(loaded)
    assert runs[4].folder == "runs/plain-8/id-entries_alpha=0.5/seed1"
    # The paper's results need none of them.
    assert "conjecture" not in grid.claim_runs(loaded)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"doses": [0.5, 1.5]},
            "conjecture.doses[1]: 1.5 given, allowed: a number >= 0 and <= 1",
        ),
        ({"doses": [0.5, 0.5]}, "conjecture.doses: [0.5, 0.5] given, allowed: a non-empty list"),
        ({"doses": []}, "conjecture.doses: [] given, allowed: a non-empty list"),
        ({"doses": [1, 1.0]}, "conjecture.doses: [1, 1.0] given, allowed: a non-empty list"),
        ({"doses": ["x"]}, "conjecture.doses[0]: 'x' given, allowed: a number"),
        ({"initialisation": "kwi"}, "conjecture.initialisation: 'kwi' given, allowed: an init"),
        (
            {"initialisation": "zero"},
            "conjecture.initialisation: 'zero' given, allowed: one of kwi",
        ),
        (
            {"others": [{"initialisation": "id-entries"}]},
            "conjecture.others[0].initialisation: 'id-entries' given, allowed: id-entries with",
        ),
        ({"others": [{}]}, "conjecture.others[0].initialisation: missing, needed: the name of an"),
        ({"others": "dirac"}, "conjecture.others: 'dirac' given, allowed: a list of sections"),
        ({"depths": [9]}, "conjecture.depths[0]: 9 given, allowed: an integer 6n + 2"),
    ],
)
def test_a_mistake_gives_one_line(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ResnoiseError) as caught:
        section(**keys)
    (line,) = str(caught.value).split("\n")
    assert line.startswith(message)


def test_an_initialisation_of_the_configuration_is_its_text() -> None:
    given = {"name": "id-entries", "alpha": "0.50"}
    runs = [{"architecture": "plain", "initialisation": given}]
    loaded = config.load({"runs": runs})
    assert loaded["runs"][0]["initialisation"] == "id-entries_alpha=0.5"
    assert config.load(loaded) == loaded
    assert {type(item["initialisation"]) for item in loaded["conjecture"]["others"]} == {str}


def test_only_the_familys_own_parameter_is_a_dose() -> None:
    assert dose("id-entries_alpha=0.5", "id-entries") == 0.5
    assert dose("id-entries_alpha=0", "id-entries") == 0
    others = ("id-entries_alpha=0.5_noise=2", "kwi", "dirac")
    assert [dose(name, "id-entries") for name in others] == [None] * 3


def rows(**measures: list[float]) -> pd.DataFrame:
    """Return a row for each of three kinds of network with two seeds, and one of another cause."""
    kinds = [("plain", "kwi"), ("plain", DOSES[0]), ("plain", DOSES[1]), ("plain", "dirac")]
    frame = pd.DataFrame(
        [(*kind, seed) for kind in kinds for seed in (1, 2)],
        columns=["architecture", "initialisation", "seed"],
    )
    return frame.assign(depth=8, **measures)


def test_doses_are_summarised_over_the_seeds_that_have_a_value() -> None:
    table = over_doses(rows(risk=[2, 4, 1, np.nan, 0.5, 0.25, 0, 0]), "id-entries", ["risk"])
    assert list(table["initialisation"]) == [*DOSES, "kwi"]
    assert list(table["alpha"][:2]) == [0.5, 1] and table["alpha"].isna()[2]
    assert list(table["seeds"]) == [1, 2, 2]
    assert list(table["risk_mean"]) == [1, 0.375, 3]
    assert (table["risk_min"][1], table["risk_max"][1]) == (0.25, 0.5)


KINDS = [("plain", "kwi"), *(("plain", name) for name in DOSES), ("residual", "hmwi")]
# Cushions of two pictures (columns) in three layers, the last of which is dead.
CUSHIONS = [[0.1, 0.3], [0.6, 0.6], [np.nan, np.nan]]


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Return folders of finished runs with what their measurements would write."""
    found = []
    for place, (architecture, name) in enumerate(KINDS):
        run = {"architecture": architecture, "depth": 8, "initialisation": name, "seed": 1}
        folder = tmp_path / f"{architecture}-{name}"
        found.append(folder)
        spec = {"network": {k: run[k] for k in ("architecture", "depth")}, **run}
        write_json(folder / "run.json", {"spec": spec})
        ended = {"status": "ok", "risk": 0.5**place, "cost": 1.0, "train_error": 0.25}
        evaluation = [{**run, "snapshot": "initial", **ended, "test_error": 0.9}]
        evaluation.append({**run, "snapshot": "final", **ended, "test_error": 0.5})
        cushion = [
            {
                **{"snapshot": snapshot, "layer": layer + 1, "name": f"l{layer}", "sample": sample},
                **{"cushion": value, "state": "" if np.isfinite(value) else "dead"},
            }
            for snapshot in ("initial", "final")
            for layer, values in enumerate(CUSHIONS)
            for sample, value in enumerate(values)
        ]
        flow = [
            {
                **{**run, "family": "simplified", "residual": architecture == "residual"},
                **{"snapshot": snapshot, "epoch": 1, "reading": reading, "layer": layer},
                **{"group": 1, "place": place, "pictures": 2, "f_mean": value, "f_median": 0.0},
                **{"f_mean_error": 0.0, "f_median_error": 0.0, "state": ""},
            }
            for snapshot, of_layers in (
                ("initial", (9, 9)),
                ("iteration1", (0.2, 0.4)),
                ("final", (0.1, 0.2)),
            )
            for reading in READINGS
            for layer, (value, place) in enumerate(
                zip(of_layers, ("block output", "inside block"), strict=True)
            )
        ]
        for file, table in (
            ("evaluation", evaluation),
            ("layer_cushion", cushion),
            ("gradient_flow", flow),
        ):
            csvfile.write(folder / f"{file}.csv", pd.DataFrame(table))
            stamp(folder / f"{file}.csv", None)
    return found


def files(folders: list[Path], name: str) -> list[Path]:
    return [folder / f"{name}.csv" for folder in folders]


def test_runs_are_read_after_training_and_lost_layers_count_in_no_cushion(
    folders: list[Path],
) -> None:
    reached = evaluations(files(folders, "evaluation"))
    assert list(reached["risk"]) == [1, 0.5, 0.25, 0.125]
    assert set(reached["gap"]) == {0.25}
    row = cushions(files(folders, "layer_cushion")).iloc[0]
    assert row["cushion_median"] == pytest.approx((0.2 + 0.6) / 2)
    assert row["cushion_smallest"] == pytest.approx(0.2)
    assert row["lost_layers"] == 1
    outputs = flows(files(folders, "gradient_flow"), reading="set", layers="block-outputs").iloc[0]
    assert (outputs["iteration1"], outputs["final"]) == (0.2, 0.1)
    assert len(flows(files(folders, "gradient_flow"), reading="set", layers="all")) == len(KINDS)
    whole = flows(files(folders, "gradient_flow"), reading="set", layers="all").iloc[0]
    assert (whole["iteration1"], whole["final"]) == (pytest.approx(0.3), pytest.approx(0.15))


def test_figures_have_their_numbers_and_no_text_on_another(folders: list[Path]) -> None:
    family = {"initialisation": "id-entries"}
    flow = {"reading": "set", "layers": "all"}
    drawings = [
        conjecture_dose.make(files(folders, "evaluation"), **family),
        conjecture_cushion.make(files(folders, "layer_cushion"), **family),
        conjecture_flow.make(files(folders, "gradient_flow"), **family, **flow),
    ]
    for drawing in drawings:
        assert overlapping(drawing.figure) == []
        assert list(drawing.tables[0]["alpha"][:2]) == [0.5, 1]
    risk, error = drawings[0].figure.axes
    (line,) = [
        line for line in risk.lines if len(line.get_xdata()) == 2 and line.get_marker() == "o"
    ]
    assert list(line.get_ydata()) == [0.5, 0.25]
    assert risk.get_yscale() == error.get_yscale() == "log"
    # A cushion of a residual network is no cushion of the plain one that equals it.
    assert set(drawings[1].tables[0]["architecture"]) == {"plain"}


def test_figures_are_drawn_even_if_nothing_was_left_of_any_run(folders: list[Path]) -> None:
    for file in files(folders, "evaluation"):
        rows = pd.read_csv(file).assign(status="diverged", risk=np.nan, test_error=np.nan)
        csvfile.write(file, rows)
        stamp(file, None)
    drawing = conjecture_dose.make(files(folders, "evaluation"), initialisation="id-entries")
    drawing.figure.draw_without_rendering()
    assert set(drawing.tables[0]["seeds"]) == {0}


def test_the_table_has_each_kind_of_network_and_says_what_is_lost(folders: list[Path]) -> None:
    table = conjecture_runs.make(files(folders, "evaluation") + files(folders, "layer_cushion"))
    (numbers,) = table.tables
    assert list(zip(numbers["architecture"], numbers["initialisation"], strict=True)) == KINDS
    assert list(numbers["risk_mean"]) == [1, 0.5, 0.25, 0.125]
    (line,) = [line for line in table.text.splitlines() if "alpha=0.5 " in line]
    cells = [cell.strip() for cell in line.strip("| ").split("|")]
    assert cells == [
        *("8", "plain", DOSES[0], "1", "0.5000", "0.2500", "0.5000", "0.2500"),
        "0.4000 (1 lost)",
    ]
