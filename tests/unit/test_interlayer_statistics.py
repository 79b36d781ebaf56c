"""Summaries, table and heat maps of interlayer cushions, from made-up files."""

import math
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from resnoise.config.schema import SCHEMA_PATH
from resnoise.errors import ResnoiseError
from resnoise.figures import interlayer_cushion
from resnoise.storage import csvfile
from resnoise.storage.digests import write_json
from resnoise.summaries.interlayer_cushion import read, summarise
from resnoise.summaries.published import read_paper
from resnoise.tables.interlayer_cushion import blocks, make, markdown

PAPER = read_paper(SCHEMA_PATH.with_name("paper.yaml"))["interlayer_cushion"]
PICTURES = 4


def made_up(count: int, scale: float) -> pd.DataFrame:
    """Return rows of ``count`` blocks; the first one has no cushion for the last picture."""
    rows = []
    for snapshot, factor in (("initial", 100.0), ("final", 1.0)):
        for first in range(1, count + 1):
            for last in range(first, count + 1):
                for sample in range(PICTURES):
                    value = factor * scale * (first + 0.1 * last + 0.01 * sample**2)
                    exact = first == last
                    rows.append(
                        {
                            "snapshot": snapshot,
                            "first": first,
                            "last": last,
                            "sample": sample,
                            "cushion": value,
                            "standard_error": 0.0 if exact else 0.01 * value,
                            "method": "closed form" if exact else "signs",
                            "probes": 0 if exact else 8 * (sample + 1),
                        }
                    )
    frame = pd.DataFrame(rows)
    missing = (frame["first"] == 1) & (frame["last"] == 1) & (frame["sample"] == PICTURES - 1)
    frame.loc[missing, ["cushion", "standard_error"]] = np.nan
    return frame.assign(state=np.where(missing, "dead", ""))


def run(
    folder: Path, architecture: str, depth: int, count: int, scale: float, seed: int = 1
) -> Path:
    """Write the files of a run and return its folder."""
    path = folder / f"{architecture}-{depth}-{seed}"
    path.mkdir()
    network = {"architecture": architecture, "depth": depth, "width": 16}
    record = {"spec": {"network": network, "initialisation": "kwi", "seed": seed}}
    write_json(path / "run.json", record)
    csvfile.write(path / "interlayer_cushion.csv", made_up(count, scale))
    return path


@pytest.fixture
def rows(tmp_path: Path) -> pd.DataFrame:
    return read(
        [
            run(tmp_path, "full-plain", 20, 9, 0.1),
            run(tmp_path, "full-residual", 20, 9, 0.2),
            run(tmp_path, "full-residual", 20, 9, 0.4, seed=2),
            run(tmp_path, "residual", 8, 6, 0.3),
        ]
    )


def pick(table: pd.DataFrame, **keys: Any) -> Any:
    for name, value in keys.items():
        table = table[table[name] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_a_summary_is_over_pictures_and_seeds_after_training(rows: pd.DataFrame) -> None:
    summary = summarise(rows)
    assert len(summary) == 45 + 45 + 21
    row = pick(summary, family="fully_fledged", kind="residual", first=2, last=4)
    of_runs = [[s * (2.4 + 0.01 * n**2) for n in range(PICTURES)] for s in (0.2, 0.4)]
    values = np.concatenate(of_runs)
    assert row["runs"] == 2
    assert row["pictures"] == 8
    assert row["mean"] == pytest.approx(np.mean(values))
    assert row["standard_deviation"] == pytest.approx(np.std(of_runs, axis=1, ddof=1).mean())
    assert row["minimum"] == pytest.approx(min(values))
    assert row["standard_error"] == pytest.approx(0.01 * math.sqrt(np.mean(np.square(values))))
    assert row["probes"] == 20


def test_the_table_sets_residual_beside_plain_and_the_paper_in_the_middle(
    rows: pd.DataFrame,
) -> None:
    table = blocks(summarise(rows), PAPER)
    assert list(table["block"]) == [*range(1, 10), *range(1, 7)]
    full = table[table["family"] == "fully_fledged"]
    assert list(full["ratio"]) == pytest.approx([3.0] * 9)
    assert list(full["block"][full["paper_mean"].notna()]) == [5]
    assert pick(full, block=5)["paper_standard_deviation"] == 0.0024
    assert pick(full, block=1)["plain_pictures"] == PICTURES - 1
    own = rows[(rows["family"] == "fully_fledged") & (rows["kind"] == "plain")]
    for block in range(1, 10):
        minimal = own.loc[own["first"] == block, "cushion"].min()
        assert pick(full, block=block)["plain_minimal"] == minimal
    simple = table[table["family"] == "simplified"]
    assert simple["plain_mean"].isna().all()
    assert simple["residual_minimum"].notna().all()


def test_the_table_to_read_has_what_there_is_and_no_more(rows: pd.DataFrame) -> None:
    text = markdown(blocks(summarise(rows), PAPER), "Cushions")
    full, simple = text.split("## Simplified networks, depth 8")
    assert "## Fully-fledged networks, depth 20" in full
    assert "larger one in 9 of 9 blocks" in full
    assert full.count("0.20 +- 0.0024") == 1
    assert "plain" not in simple
    assert "paper" not in simple
    assert "nan" not in text


def test_a_network_without_a_live_block_is_shown_as_such(rows: pd.DataFrame) -> None:
    dead = (rows["kind"] == "plain") & (rows["last"] >= 7)
    rows.loc[dead, ["cushion", "standard_error"]] = np.nan
    text = markdown(blocks(summarise(rows), PAPER), "Cushions")
    (line,) = [line for line in text.splitlines() if line.startswith("| 7 ")]
    assert line.count("| dead ") == 1
    assert line.count("| -") == 2
    assert "in 6 of 6 blocks; 3 not compared." in text
    rows.loc[dead & (rows["last"] == 9), "cushion"] = np.inf
    figure = interlayer_cushion.draw(summarise(rows))
    notes = {text.get_text() for axis in figure.axes for text in axis.texts}
    assert "x dead\n+ exploded" in notes
    plt.close(figure)


def test_a_map_without_any_cushion_says_so(rows: pd.DataFrame) -> None:
    rows["cushion"] = np.nan
    figure = interlayer_cushion.draw(summarise(rows))
    notes = [text.get_text() for axis in figure.axes for text in axis.texts]
    assert notes.count("x dead") == 3
    figure.canvas.draw()
    plt.close(figure)


def test_the_figure_draws_the_means_and_their_ratio(rows: pd.DataFrame, tmp_path: Path) -> None:
    summary = summarise(rows)
    figure = interlayer_cushion.draw(summary)
    maps = {
        axis.get_title(): axis for axis in figure.axes if axis.get_title() and axis.get_visible()
    }
    assert set(maps) == {
        "fully-fledged residual, depth 20",
        "fully-fledged plain, depth 20",
        "ratio of the means",
        "simplified residual, depth 8",
    }
    drawn = np.asarray(maps["fully-fledged plain, depth 20"].collections[0].get_array())
    row = pick(summary, family="fully_fledged", kind="plain", first=3, last=7)
    assert drawn.reshape(9, 9)[2, 6] == pytest.approx(row["mean"])
    # Two boundaries of three groups, each of two lines.
    assert {len(axis.lines) for axis in maps.values()} == {4}
    plt.close(figure)
    interlayer_cushion.drawing(rows).save(*(tmp_path / f"f.{end}" for end in ("pdf", "png", "csv")))
    written = pd.read_csv(tmp_path / "f.csv")
    assert written.pop("state").isna().all() and (summary.pop("state") == "").all()
    pd.testing.assert_frame_equal(written, summary)
    assert (tmp_path / "f.pdf").stat().st_size > 1000


def test_a_network_trained_elsewhere_has_a_table_of_its_own(tmp_path: Path) -> None:
    record = tmp_path / "network.json"
    write_json(record, {"name": "mine", "depth": 20, "residual": True})
    cushions = tmp_path / "interlayer_cushion.csv"
    csvfile.write(cushions, made_up(9, 0.2).query("snapshot == 'final'"))
    rows = read([tmp_path])
    made = make([cushions], None)
    made.save(tmp_path / "t.md", tmp_path / "t.csv")
    text = made.text
    assert "## mine, depth 20" in text
    assert "plain" not in text
    assert len(pd.read_csv(tmp_path / "t.csv")) == 9
    figure = interlayer_cushion.draw(summarise(rows))
    # Where its groups end is not known.
    assert not any(axis.lines for axis in figure.axes)
    plt.close(figure)
    cushions.unlink()
    with pytest.raises(ResnoiseError, match=r"interlayer_cushion\.csv: cannot be read"):
        read([tmp_path])


def test_of_a_network_of_unknown_kind_none_is_named(tmp_path: Path) -> None:
    write_json(tmp_path / "network.json", {"name": "mine", "depth": 20, "residual": None})
    cushions = tmp_path / "interlayer_cushion.csv"
    csvfile.write(cushions, made_up(9, 0.2).query("snapshot == 'final'"))
    text = make([cushions], None).text
    assert "network: mean +- std (minimum)" in text
    assert "residual" not in text and "plain" not in text
    figure = interlayer_cushion.make([cushions]).figure
    assert figure.axes[0].get_title() == "mine, depth 20"
    plt.close(figure)


def test_runs_that_all_diverged_have_a_table_and_a_figure_that_say_so(tmp_path: Path) -> None:
    file = run(tmp_path, "plain", 8, 6, 0.1) / "interlayer_cushion.csv"
    csvfile.write(file, made_up(6, 0.1).iloc[:0])
    made = make([file], {"interlayer_cushion": PAPER})
    assert "all of them diverged" in made.text
    made.save(tmp_path / "t.md", tmp_path / "t.csv")
    interlayer_cushion.make([file]).save(
        *(tmp_path / f"f.{kind}" for kind in ("pdf", "png", "csv"))
    )
    assert len(pd.read_csv(tmp_path / "t.csv")) == len(pd.read_csv(tmp_path / "f.csv")) == 0
