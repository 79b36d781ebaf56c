"""The picture of the rules: read, reduced, and every rule in a place of its own."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnoise.errors import ResnoiseError
from resnoise.plan import rulegraph

DOT = """digraph snakemake_dag {
    graph[bgcolor=white, margin=0];
\t0[label = "all", color = "0.24 0.6 0.85", style="rounded"];
\t1[label = "table1", color = "0.43 0.6 0.85", style="rounded"];
\t2[label = "train", color = "0.43 0.6 0.85", style="rounded"];
\t1 -> 0
\t2 -> 1
}"""


def test_parses_what_snakemake_prints() -> None:
    graph = rulegraph.parse(DOT)
    assert graph == {"all": {"table1"}, "table1": {"train"}, "train": set()}
    assert rulegraph.without(graph, ["all"]) == {"table1": {"train"}, "train": set()}


def test_says_if_there_is_no_graph() -> None:
    with pytest.raises(ResnoiseError, match="not a graph of rules, needed"):
        rulegraph.parse("Building DAG of jobs...")


def reachable(graph: rulegraph.Graph) -> set[tuple[str, str]]:
    """Return all pairs of a rule and one that it depends on, however far."""
    pairs = {(rule, source) for rule, sources in graph.items() for source in sources}
    for middle, left, right in itertools.product(graph, repeat=3):
        if (left, middle) in pairs and (middle, right) in pairs:
            pairs.add((left, right))
    return pairs


@given(st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6)).filter(lambda e: e[0] > e[1])))
def test_the_reduction_is_the_smallest_graph_of_the_same_dependencies(
    edges: set[tuple[int, int]],
) -> None:
    graph: rulegraph.Graph = {str(n): {str(b) for a, b in edges if a == n} for n in range(7)}
    reduced = rulegraph.reduced(graph)
    assert reachable(reduced) == reachable(graph)
    for rule, sources in reduced.items():
        for source in sources:
            smaller = {**reduced, rule: sources - {source}}
            assert reachable(smaller) != reachable(graph)


@pytest.mark.parametrize(
    ("rule", "stage"),
    [
        ("prepare_data", "Data"),
        ("twins", "Training"),
        ("gradient_flow", "Measurements"),
        ("training_curves", "Tables and figures"),
        ("external_table", "Tables and figures"),
        ("claims", "Report"),
    ],
)
def test_every_rule_has_a_stage(rule: str, stage: str) -> None:
    assert rulegraph.stage(rule) == stage


def test_no_two_boxes_overlap_and_long_edges_pass_between_them() -> None:
    graph: rulegraph.Graph = {
        "prepare_data": set(),
        "train": {"prepare_data"},
        "evaluate": {"train"},
        "layer_cushion": {"train"},
        "figure8": {"train"},
        "table1": {"evaluate"},
        "figure3": {"layer_cushion"},
        "claims": {"evaluate"},
        "report_page": {"claims", "figure3", "table1"},
    }
    svg = rulegraph.svg(graph)
    boxes = re.findall(r'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="(\d+)"', svg)
    assert len(boxes) == len(graph)
    for one, two in itertools.combinations([tuple(map(float, box)) for box in boxes], 2):
        apart = [abs(a - b) >= size for a, b, size in zip(one[:2], two[:2], one[2:], strict=True)]
        assert any(apart)
    # train leads past the measurements to figure8, evaluate past tables to claims.
    assert len(re.findall(r"H[\d.]+\"/>", svg)) == 2
    assert svg == rulegraph.svg(dict(reversed(graph.items())))
