"""The claims through the workflow: they depend on the results that they use and on no others."""

import pandas as pd
import pytest
from projects import Project

pytestmark = pytest.mark.thorough

SECTIONS = """
table1: {depths: [8, 20], seeds: [1, 2]}
twins: {depths: [8], seeds: [1]}
layer_cushion: {depths: [20], seeds: [1], samples: 10}
noise_stability: {depths: [8], seeds: [1]}
interlayer_cushion: {architectures: [residual], depths: [8], seeds: [1]}
table5: {depths: [8], seeds: [1], lower_full: {depths: [8]}}
gradient_flow: {depth: 8, seeds: [1], epochs: [1], samples: 4}
trivial_case: {repetitions: 3, n: 8, n_values: [4, 8, 32], layer_values: [18, 19]}
weight_statistics: {depth: 8, seeds: [1]}
table4: {depths: [20], seeds: [1]}
figure8: {depths: [8], seeds: [1]}
figure9: {depths: [8], seeds: [1]}
"""
# A claim that the paper does not make.
CLAIM = """
  - id: plain-networks-learn
    place: nowhere
    statement: Plain networks of depth 8 have a training risk below 10.
    quantity: {source: trained, column: risk, where: {architecture: plain, depth: 8}}
    rule: {less: 10}
    scale: [data]
"""


def test_claims_are_judged_from_the_results_that_they_use(project: Project) -> None:
    project.replace("config/tiny.yaml", "table1: {depths: [8], seeds: [1]}", SECTIONS)
    target = "results/tiny/claims.csv"
    printed = project.snakemake(target)
    # No claim is about networks of depth 8.
    assert "train/plain-8" not in printed
    table = pd.read_csv(project.root / target).set_index("id")
    measured = table[table["measured"].notna()]
    assert {"table1-20-plain-risk", "layer-cushion-exceptions-20", "twins-start-equal"} <= {
        *measured.index
    }
    one = table.loc["table1-20-plain-risk"]
    assert one["runs"] == 2 and one["measured_low"] <= one["measured"] <= one["measured_high"]
    assert one["scale"] == "reduced" and "digits instead of CIFAR-10" in one["differences"]
    assert table.loc["twins-start-equal", "verdict"] == "reproduced"
    assert table.loc["table1-44-plain-risk", "verdict"] == "not measured at this scale"
    assert table.loc["table1-20-plain-risk", "verdict"] == "not comparable at this scale"
    text = (project.results / "claims.md").read_text("utf-8")
    assert "reproduced, at reduced scale" in text and "| numbers compared " in text
    assert "Nothing to be done" in project.snakemake("--dry-run", target)

    # A depth that no claim is about changes nothing; a further claim is judged, its runs trained.
    project.replace("config/tiny.yaml", "depths: [8, 20]", "depths: [8, 14, 20]")
    assert "Nothing to be done" in project.snakemake("--dry-run", target)
    paper = project.root / "config" / "paper.yaml"
    paper.write_text(paper.read_text("utf-8") + CLAIM, "utf-8")
    printed = project.snakemake("--dry-run", target)
    assert "runs/plain-8/kwi/seed2/evaluation.csv" in printed and "residual-8" not in printed

    paper.write_text(
        paper.read_text("utf-8").replace("rule: {less: 10}", "rule: {lower: 10}"), "utf-8"
    )
    printed = project.snakemake("--dry-run", target, fails=True)
    assert "claim plain-networks-learn.rule" in printed and "'lower'" in printed
