"""Two results folders side by side: what differs, by how much, and what cannot be compared."""

import re
import sys
from pathlib import Path
from typing import Any

import browsers
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import compare as script
from resnoise import commandline
from resnoise.claims.page import COLUMNS
from resnoise.comparison import claims, configurations, numbers
from resnoise.comparison.report import compare
from resnoise.comparison.roots import open_root
from resnoise.config import load as config
from resnoise.errors import ResnoiseError
from resnoise.figures import compared_curves
from resnoise.storage import csvfile
from resnoise.storage.digests import write_json
from resnoise.training import history

NAN = float("nan")


def table(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    """Return a table in the style of Table 1."""
    columns = ["depth", "network", "seeds", "diverged", "risk_mean", "risk_std", "risk_paper"]
    return pd.DataFrame(rows, columns=columns)


def risks(compared: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the risk by network."""
    return compared[compared["quantity"] == "risk"].set_index("network")


def test_every_number_stands_beside_its_counterpart_with_the_difference() -> None:
    baseline = table([(20, "plain", 3, 0, 2.0, 0.3, 7.0), (20, "residual", 3, 0, 1.0, 0.1, 8.0)])
    # In another order.
    variant = table([(20, "residual", 3, 1, 1.2, 0.1, 8.0), (20, "plain", 3, 0, 2.5, 0.4, 7.0)])
    found = numbers.compare(baseline, variant)
    assert set(found["quantity"]) == {"risk", "diverged"}
    plain, residual = risks(found).loc["plain"], risks(found).loc["residual"]
    assert plain["difference"] == 0.5 and plain["relative"] == 0.25
    # sqrt(0.3^2 + 0.4^2) = 0.5, which 0.5 does not exceed.
    assert plain["spread"] == pytest.approx(0.5) and not plain["beyond_spread"]
    assert residual["spread"] == pytest.approx(0.02**0.5) and residual["beyond_spread"]
    assert (plain["baseline_seeds"], plain["variant_seeds"]) == (3, 3)
    diverged = found[found["quantity"] == "diverged"]["difference"]
    assert sorted(diverged) == [0, 1]


def test_means_are_of_the_seeds_that_did_not_diverge() -> None:
    baseline = table([(20, "plain", 3, 0, 2.0, 0.3, 7.0), (32, "plain", 2, 2, NAN, NAN, 7.0)])
    variant = table([(20, "plain", 3, 1, 2.5, 0.4, 7.0), (44, "plain", 3, 1, 2.5, 0.4, 7.0)])
    # A table of Table 3's kind counts the seeds of each mean by itself.
    for each in (baseline, variant):
        each["share"], each["share_seeds"] = 0.5, 3
    compared = numbers.compare(baseline, variant)
    found = compared.set_index(["quantity", "depth"])
    seeds = found[["baseline_seeds", "variant_seeds"]].astype(object).fillna("none")
    assert seeds.loc["risk", "20"].tolist() == [3, 2]
    assert seeds.loc["risk", "44"].tolist() == ["none", 2]
    assert seeds.loc["share", "20"].tolist() == [3, 3]
    # How many diverged is said of all.
    assert seeds.loc["diverged", "20"].tolist() == [3, 3]
    assert seeds.loc["diverged", "32"].tolist() == [2, "none"]
    assert found.loc[("diverged", "20"), "variant"] == 1
    text = numbers.markdown(compared, "table1.csv")
    assert "| 2 (3) " in text and "| 2.500 (2) " in text


def test_a_single_seed_takes_the_other_s_spread_and_two_have_none() -> None:
    baseline = table([(20, "plain", 3, 0, 2.0, 0.3, 7.0), (20, "residual", 1, 0, 1.0, NAN, 8.0)])
    variant = table([(20, "plain", 1, 0, 2.4, NAN, 7.0), (20, "residual", 1, 0, 2.0, NAN, 8.0)])
    found = risks(numbers.compare(baseline, variant))
    assert found.loc["plain", "spread"] == pytest.approx(0.3 * 2**0.5)
    assert not found.loc["plain", "beyond_spread"]
    assert pd.isna(found.loc["residual", "spread"])
    assert pd.isna(found.loc["residual", "beyond_spread"])


def test_rows_and_numbers_of_one_table_only_are_kept_without_a_difference() -> None:
    baseline = table([(20, "plain", 1, 0, 2.0, NAN, 7.0), (32, "plain", 1, 0, 0.0, NAN, 7.0)])
    variant = table([(32, "plain", 1, 1, NAN, NAN, 7.0), (44, "plain", 1, 0, 3.0, NAN, 7.0)])
    found = numbers.compare(baseline, variant)
    found = found[found["quantity"] == "risk"].set_index("depth")
    assert list(found.index) == ["20", "32", "44"]
    assert found["difference"].isna().all()
    assert found["baseline"].fillna(-1).tolist() == [2.0, 0.0, -1]
    assert found["variant"].fillna(-1).tolist() == [-1, -1, 3.0]
    # Nothing is relative to 0.
    same = numbers.compare(baseline, baseline)
    assert pd.isna(same[(same["depth"] == "32") & (same["quantity"] == "risk")]["relative"]).all()


def test_depths_are_the_same_numbers_whether_or_not_another_row_lacks_one() -> None:
    whole = pd.DataFrame({"depth": [20, 32], "risk": [1.0, 2.0]})
    broken = pd.DataFrame({"depth": [20, 32.0], "risk": [1.0, 2.5]})
    assert numbers.compare(whole, broken)["difference"].tolist() == [0, 0.5]


def test_tables_whose_rows_cannot_be_matched_are_refused() -> None:
    first = pd.DataFrame({"network": ["plain"], "risk": [1.0]})
    with pytest.raises(ResnoiseError, match="by network in the baseline but by nothing in the var"):
        numbers.compare(first, first.rename(columns={"network": "x"}).assign(x=1))
    with pytest.raises(ResnoiseError, match="two rows with the same network"):
        numbers.compare(pd.concat([first, first]), first)


def test_texts_about_what_was_found_do_not_tell_rows_apart() -> None:
    first = pd.DataFrame({"depth": [8, 14], "layers": [8, 14]})
    first = first.assign(exceptions=["fc", NAN], not_compared=NAN, plain_state=["", ""])
    second = first.assign(layers=[7, 14], exceptions=NAN, not_compared=["fc", NAN])
    second["plain_state"] = ["dead", ""]
    found = numbers.compare(first, second)
    assert list(found["quantity"]) == ["layers", "layers"]
    assert list(found["difference"]) == [-1, 0]


def test_of_a_long_table_the_page_has_what_differs_most() -> None:
    layers = np.arange(1, 101)
    first = pd.DataFrame({"layer": layers, "cushion": np.ones(100)})
    second = first.assign(cushion=1 + layers / 1000)
    text = numbers.markdown(numbers.compare(first, second), "layer_cushion.csv")
    assert "40 of 100 numbers" in text and "`layer_cushion.csv`" in text
    assert "| 100 " in text and "| 61 " in text and "| 60 " not in text
    # Without a spread there is no column for it.
    assert "beyond spread" not in text


def test_of_a_long_table_the_page_has_what_has_no_relative_difference() -> None:
    layers = np.arange(1, 61)
    first = pd.DataFrame({"layer": layers, "cushion": np.ones(60)})
    second = first.assign(cushion=1 + layers / 1000)
    # The last ones: from 0, vanished and new; and the same 0 in both, which differs least of all.
    for column, values in ((first, [0, 0, 1, NAN]), (second, [0, 1, NAN, 1])):
        column.loc[layers > 56, "cushion"] = values
    text = numbers.markdown(numbers.compare(first, second), "layer_cushion.csv")
    shown = [int(layer) for layer in re.findall(r"^\| (\d+) ", text, re.M)]
    assert shown == [*range(20, 57), 58, 59, 60]
    # A row that is in one table only is a line of its own.
    vanished = numbers.compare(first.iloc[:50], second.iloc[1:50])
    assert "| 1 " in numbers.markdown(vanished, "layer_cushion.csv")


def test_configurations_are_compared_key_by_key() -> None:
    first = config.load({"results": "a"})
    second = config.load(
        {"results": "b", "training": {"simplified": {"epochs": 3}}, "table1": {"depths": [20]}}
    )
    del second["claims"]["confidence"]
    found = configurations.differences(first, second)
    assert found.values.tolist() == [
        ["training.simplified.epochs", "200", "3"],
        ["table1.depths", "[20, 32, 44]", "[20]"],
        ["claims.confidence", "0.95", ""],
    ]
    assert configurations.differences(first, first).empty


def record(rate: float, code: str = "c", torch: str = "2.0") -> dict[str, Any]:
    """Return what a comparison reads of a record."""
    session = {"device": "cpu", "processor": "p", "python": "3.12", "packages": {"torch": torch}}
    spec = {"network": {"depth": 8}, "recipe": {"learning_rate": rate}}
    return {"spec": spec, "data_digest": "d", "code_digest": code, "session": session}


def test_the_records_say_whether_more_than_the_configuration_differs() -> None:
    baseline = {"runs/a": record(0.1), "runs/b": record(0.1), "runs/c": record(0.1)}
    variant = {"runs/a": record(0.2), "runs/b": record(0.2, code="e", torch="2.1")}
    assert configurations.run_differences(baseline, variant) == [
        "2 runs are in both folders.",
        "Only in the baseline: runs/c.",
        "`recipe.learning_rate` is 0.1 in the baseline and 0.2 in the variant (2 of 2 runs).",
        '`torch` is "2.0" in the baseline and "2.1" in the variant (1 of 2 runs).',
        "Trained on the same pictures: 2 of 2 runs.",
        "Trained by the same code: 1 of 2 runs.",
    ]


def claim_table(verdicts: dict[str, str]) -> pd.DataFrame:
    """Return a table of claims."""
    rows = [
        {
            "id": name,
            "place": "Appendix A",
            "claim": f"Claim {name}",
            "kind": "statement",
            "published": 1.5,
            "measured": len(verdict) / 10,
            "verdict": verdict,
            "scale": "reduced",
        }
        for name, verdict in verdicts.items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def test_claims_with_another_verdict_are_listed() -> None:
    baseline = claim_table({"a": "reproduced", "b": "direction only", "gone": "reproduced"})
    variant = claim_table({"b": "not reproduced", "a": "reproduced", "new": "reproduced"})
    found = claims.compare(baseline, variant)
    assert dict(zip(found["id"], found["changed"], strict=True)) == {"a": False, "b": True}
    text = claims.markdown(found)
    assert "1 of 2 claims" in text and "Claim b" in text and "Claim a" not in text
    assert "direction only, at reduced scale: 1.4" in text
    # Claims of one table alone are not counted.
    assert re.search(r"statements that hold +\| 2 +\| 1 +\|", text)
    assert re.search(r"statements that do not hold +\| 0 +\| 1 +\|", text)
    same = claims.markdown(claims.compare(baseline, baseline))
    assert same.endswith("\n\n0 of 3 claims have another verdict in the variant.")


def make_root(folder: Path, rate: float, risk: float, seeds: int = 2) -> Path:
    """Write a results folder with a configuration, Table 1, claims and runs."""
    loaded = config.load(
        {"results": str(folder), "training": {"simplified": {"learning_rate": rate}}}
    )
    config.save(loaded)
    csvfile.write(folder / "table1.csv", table([(8, "plain", seeds, 0, risk, 0.1, 7.0)]))
    judged = claim_table({"a": "reproduced" if risk < 1 else "not reproduced"})
    csvfile.write(folder / "claims.csv", judged)
    for seed in range(1, seeds + 1):
        run = folder / "runs" / "plain-8" / "kwi" / f"seed{seed}"
        found = record(rate)
        found["spec"]["network"]["architecture"] = "plain"
        found["spec"] |= {"initialisation": "kwi", "seed": seed}
        run.mkdir(parents=True)
        found["sessions"] = [found.pop("session")]
        write_json(run / "run.json", found)
        rows = [
            history.Row(epoch, rate, risk / epoch + seed, 1, 0.5, 1, 0.1 * seed, 1, 1)
            for epoch in (1, 2, 3)
        ]
        history.write(run / "history.csv", rows)
    return folder


def test_a_comparison_is_a_page_tables_and_curves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    baseline = make_root(tmp_path / "base", 0.1, 0.5)
    variant = make_root(tmp_path / "slow & steady", 0.2, 2.5, seeds=3)
    csvfile.write(baseline / "table2.csv", table([(8, "plain", 1, 0, 1.0, NAN, 7.0)]))
    csvfile.write(variant / "table5.csv", pd.DataFrame({"a": [1], "b": ["x"]}))
    csvfile.write(baseline / "table5.csv", pd.DataFrame({"a": [1], "b": [2]}))
    monkeypatch.setattr(sys, "argv", ["compare.py", str(baseline), str(variant)])
    script.main()
    printed = capsys.readouterr().out
    assert "| `training.simplified.learning_rate` | 0.1      | 0.2     |" in printed
    assert "1 of 1 claims have another verdict" in printed
    output = variant / "compared-with-base"
    assert {file.name for file in output.iterdir()} == {
        "comparison.html",
        "comparison.md",
        "configuration.csv",
        "claims.csv",
        "table1.csv",
        "curves.csv",
        "curves.pdf",
        "curves.png",
    }
    compared = pd.read_csv(output / "table1.csv")
    assert risks(compared).loc["plain", "difference"] == 2.0
    curves = pd.read_csv(output / "curves.csv")
    # The third seed is in one folder only, so it is in no mean.
    assert set(curves["seeds"]) == {2}
    last = curves[(curves["root"] == "variant") & (curves["epoch"] == 2)].iloc[0]
    assert last["risk_mean"] == pytest.approx(2.5 / 2 + 1.5)
    assert (last["risk_min"], last["risk_max"]) == pytest.approx((2.25, 3.25))
    text = (output / "comparison.md").read_text("utf-8")
    assert "`table2.csv` is not in the variant." in text
    assert "`table5.csv`: rows are identified by nothing in the baseline but by b in" in text
    assert "Only in the variant: runs/plain-8/kwi/seed3." in text
    page = (output / "comparison.html").read_text("utf-8")
    assert "slow &amp; steady" in page and "slow & steady" not in page
    assert re.findall(r'<section id="(\w+)"', page) == [
        "configuration",
        "runs",
        "claims",
        "curves",
        "tables",
        "absent",
    ]
    # Nothing is left to fetch.
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)


def test_networks_trained_elsewhere_are_compared(tmp_path: Path) -> None:
    roots = [make_root(tmp_path / name, 0.1, 0.5) for name in ("one", "two")]
    for root, cushion in zip(roots, (0.2, 0.5), strict=True):
        for network in ("mine", "theirs") if cushion == 0.2 else ("mine",):
            layers = pd.DataFrame({"layer": [1], "name": ["conv1"], "median": [cushion]})
            csvfile.write(root / "external" / network / "layer_cushion_summary.csv", layers)
        row = {"name": "mine", "layer_cushion_median": cushion, "gradient_flow": NAN}
        missing = "tokens" if cushion == 0.2 else "dense blocks"
        networks = pd.DataFrame([{**row, "gradient_flow_missing": missing}])
        csvfile.write(root / "external" / "networks.csv", networks)
    compare(*roots, tmp_path / "out")
    for name in ("networks", "mine/layer_cushion_summary"):
        compared = pd.read_csv(tmp_path / f"out/external/{name}.csv")
        assert compared["difference"].tolist() == pytest.approx([0.3])
    text = (tmp_path / "out/comparison.md").read_text("utf-8")
    assert "### mine: layer cushions" in text and "### All networks side by side" in text
    assert "`external/theirs/layer_cushion_summary.csv` is not in the variant." in text
    page = (tmp_path / "out/comparison.html").read_text("utf-8")
    anchors = re.findall(r'id="([\w-]+)"', page)
    assert len({*anchors}) == len(anchors)
    # One network is in both folders.
    assert sum(anchor.endswith("mine-layer_cushion_summary") for anchor in anchors) == 1


def test_without_saved_configurations_the_records_still_say_what_differs(tmp_path: Path) -> None:
    baseline, variant = (make_root(tmp_path / name, rate, 1) for name, rate in (("a", 1), ("b", 2)))
    for root in (baseline, variant):
        (root / config.SAVED).unlink()
    text = compare(baseline, variant, tmp_path / "out")
    assert "`recipe.learning_rate` is 1 in the baseline and 2 in the variant" in text
    written = (tmp_path / "out" / "comparison.md").read_text("utf-8")
    assert "`configuration.yaml` is not in the baseline and not in the variant." in written


def test_folders_without_common_runs_have_no_curves(tmp_path: Path) -> None:
    baseline = make_root(tmp_path / "a", 0.1, 1, seeds=0)
    variant = make_root(tmp_path / "b", 0.1, 2, seeds=0)
    compare(baseline, variant, tmp_path / "out")
    assert not (tmp_path / "out" / "curves.png").exists()
    assert "no run is in both folders" in (tmp_path / "out" / "comparison.md").read_text("utf-8")


def diverge(root: Path) -> None:
    """Make all runs of a results folder diverge in epoch 1."""
    for file in root.glob("runs/*/*/*/history.csv"):
        history.write(file, [history.Row(1, 0.1, *[NAN] * 5, 1.0, NAN, status="diverged")])


def test_runs_that_diverged_at_once_have_no_curves(tmp_path: Path) -> None:
    baseline, variant = (make_root(tmp_path / name, 0.1, 1) for name in ("a", "b"))
    diverge(variant)
    compare(baseline, variant, tmp_path / "one")
    curves = pd.read_csv(tmp_path / "one" / "curves.csv")
    assert set(curves["root"]) == {"baseline"} and (tmp_path / "one" / "curves.png").exists()
    diverge(baseline)
    compare(baseline, variant, tmp_path / "both")
    assert not list((tmp_path / "both").glob("curves.*"))
    written = (tmp_path / "both" / "comparison.md").read_text("utf-8")
    assert "every run that is in both folders diverged in epoch 1" in written
    assert (tmp_path / "both" / "comparison.html").exists()


def test_what_is_no_results_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_root(tmp_path / "root", 0.1, 1)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "run.json").write_text("{}")
    (tmp_path / "same").symlink_to(root)
    for other, complaint in (
        (tmp_path / "empty", "not a results folder, expected configuration.yaml"),
        (tmp_path / "nowhere", "there is no folder of this name"),
        (root / "table1.csv", "there is no folder of this name"),
        (tmp_path / "same", "are the same folder"),
    ):
        monkeypatch.setattr(sys, "argv", ["compare.py", str(root), str(other)])
        with pytest.raises(SystemExit) as caught:
            commandline.run(script.main)
        message = str(caught.value.code)
        assert str(other) in message and complaint in message and "\n" not in message
    assert {path.name for path in tmp_path.iterdir()} == {"root", "empty", "same"}


@pytest.mark.parametrize(
    ("file", "content"),
    [
        (config.SAVED, "- a list\n"),
        (config.SAVED, "a: [\n"),
        ("table1.csv", ""),
        ("claims.csv", "id,verdict\na,reproduced\n"),
        ("runs/plain-8/kwi/seed1/run.json", "{}"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, file: str, content: str) -> None:
    root, other = make_root(tmp_path / "a", 0.1, 1), make_root(tmp_path / "b", 0.1, 1)
    (root / file).write_text(content)
    with pytest.raises(ResnoiseError, match=Path(file).name):
        compare(root, other, tmp_path / "out")


def test_a_run_that_is_still_training_does_not_count(tmp_path: Path) -> None:
    root = make_root(tmp_path / "a", 0.1, 1)
    (root / "runs/plain-8/kwi/seed2/history.csv").unlink()
    assert list(open_root(root).runs()) == ["runs/plain-8/kwi/seed1"]


def test_curves_are_drawn_for_every_network_and_depth() -> None:
    rows = [
        (architecture, depth, "kwi", 1, epoch, 2.0 / epoch, 0.5, "ok")
        for architecture in ("plain", "residual")
        for depth in (8, 14)
        for epoch in (1, 2)
    ]
    columns = ["architecture", "depth", "initialisation", "seed", "epoch", "risk", "test_error"]
    histories = pd.DataFrame(rows, columns=[*columns, "status"])
    diverged = histories.assign(risk=NAN, status="diverged").head(1)
    summary = compared_curves.summarise(histories, pd.concat([histories.tail(7), diverged]))
    assert summary.groupby("root").size().to_dict() == {"baseline": 8, "variant": 7}
    figure = compared_curves.draw(summary)
    axes = figure.get_axes()
    assert [axis.get_title() for axis in axes[::2]] == ["plain, KWI", "residual, KWI"]
    drawn = [line for line in axes[2].get_lines() if len(line.get_xdata())]
    assert len(drawn) == 4
    assert len({(line.get_color(), line.get_linestyle()) for line in drawn}) == 4


def test_the_page_is_sound_on_wide_and_narrow_screens(tmp_path: Path) -> None:
    baseline = make_root(tmp_path / "a", 0.1, 0.5)
    # A study has a name that no line of a phone can hold, and a table that the baseline lacks.
    variant = make_root(tmp_path / ("training.simplified.learning_rate=0.001" * 3), 0.2, 2.5)
    csvfile.write(variant / "table5.csv", pd.DataFrame({"a": [1], "b": ["x"]}))
    for root, size in ((baseline, (900, 500)), (variant, (901, 500))):
        Image.new("RGB", size).save(root / "figure3.png")
        Image.new("RGB", (10, 10)).save(root / "figure13.png")
    compare(baseline, variant, tmp_path / "out")
    page = tmp_path / "out" / "comparison.html"
    # A figure that is the same in both is not shown.
    assert "figure-figure3" in page.read_text() and "figure-figure13" not in page.read_text()
    with browsers.browser() as chrome:
        chrome.get(page.as_uri())
        browsers.assert_sound(chrome)
        for width in (390, 1400):
            browsers.set_width(chrome, width)
            assert browsers.overflow(chrome) == 0
