"""Draw the graph of rules as SVG: a column for each stage, tables and figures in the paper's order.

The same graph gives the same text, so that a test can compare it.
"""

import math
import re
from collections.abc import Iterable, Mapping
from html import escape

from resnoise.errors import ResnoiseError
from resnoise.plan.artefacts import ALL

# Rule -> the rules that make its input.
Graph = dict[str, set[str]]

_SHOWN = [artefact.name for artefact in ALL]
# The stage of rules that are in no other one.
_MEASUREMENTS = "Measurements"
_TABLES = "Tables and figures"
_STAGES: dict[str, tuple[str, ...]] = {
    "Data": ("download_cifar10", "prepare_data"),
    "Training": ("train", "twins"),
    _MEASUREMENTS: (),
    _TABLES: (),
    "Report": ("claims", "report_page"),
}
_COLOURS = ("#e8e8e8", "#f9dcc4", "#d7e8d0", "#d3e2f4", "#e6d9ee")

_NODE = re.compile(r'^\s*(\d+)\[label = "(\w+)"', re.MULTILINE)
_EDGE = re.compile(r"^\s*(\d+) -> (\d+)$", re.MULTILINE)

# Sizes in pixels: height of a rule's box, distance of boxes in a column, space between columns,
# average width of a letter, middle of the first box, margin at the sides.
_HEIGHT = 18
_STEP = 24
_GAP = 56
_LETTER = 6.6
_TOP = 44
_MARGIN = 14


def parse(dot: str) -> Graph:
    """Parse the output of ``snakemake --rulegraph dot``.

    Raises:
        ResnoiseError: the text is not such a graph.
    """
    names = dict(_NODE.findall(dot))
    if not names:
        raise ResnoiseError("not a graph of rules, needed: the output of snakemake --rulegraph")
    graph: Graph = {name: set() for name in names.values()}
    for source, target in _EDGE.findall(dot):
        graph[names[target]].add(names[source])
    return graph


def without(graph: Mapping[str, set[str]], rules: Iterable[str]) -> Graph:
    """Return the graph without some rules and their edges."""
    left_out = {*rules}
    return {rule: sources - left_out for rule, sources in graph.items() if rule not in left_out}


def reduced(graph: Mapping[str, set[str]]) -> Graph:
    """Return the transitive reduction: the graph without edges that follow from longer paths."""
    before: Graph = {}

    def ancestors(rule: str) -> set[str]:
        if rule not in before:
            before[rule] = graph[rule].union(*(ancestors(source) for source in graph[rule]))
        return before[rule]

    return {
        rule: sources - {*()}.union(*(ancestors(source) for source in sources))
        for rule, sources in graph.items()
    }


def stage(rule: str) -> str:
    """Return the stage of the workflow that a rule belongs to."""
    for name, rules in _STAGES.items():
        if rule in rules:
            return name
    return _TABLES if rule in _SHOWN or re.search("figure|table", rule) else _MEASUREMENTS


def svg(graph: Mapping[str, set[str]]) -> str:
    """Draw an acyclic graph and return the SVG text.

    Where an edge crosses a column, space is kept for it between the rules of that column.
    """
    columns, edges = _columns(graph)
    heights = _heights(columns, edges)
    bottom = max(heights.values()) + _STEP
    widths = [
        max(_LETTER * len(text) for text in [*column, name]) + 16
        for name, column in zip(_STAGES, columns, strict=True)
    ]
    lefts = [_MARGIN + sum(widths[:index]) + _GAP * index for index in range(len(columns))]
    right = lefts[-1] + widths[-1] + _MARGIN
    place = {rule: index for index, column in enumerate(columns) for rule in column}

    def ends(rule: str) -> tuple[float, float]:
        return lefts[place[rule]], lefts[place[rule]] + widths[place[rule]]

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {right:.0f} {bottom:.0f}"'
        f' width="{right:.0f}" height="{bottom:.0f}" role="img"'
        ' font-family="system-ui, Helvetica, Arial, sans-serif" font-size="12">',
        "<title>Rules of the workflow by stage</title>",
        f'<rect width="{right:.0f}" height="{bottom:.0f}" rx="6" fill="#ffffff"/>',
        '<marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="5" markerHeight="5"'
        ' orient="auto"><path d="M0 0L8 4L0 8z" fill="#8a8a8a"/></marker>',
        '<g fill="none" stroke="#9a9a9a" stroke-width="1.1">',
    ]
    for source, target in edges:
        start, end = ends(source)[1], ends(target)[0]
        y, z = heights[source], heights[target]
        if place[source] == place[target]:
            x, edge = sum(ends(source)) / 2, math.copysign(_HEIGHT / 2, z - y)
            curve = f"M{x:.1f} {y + edge:.1f}V{z - edge:.1f}"
        else:
            m = (start + end) / 2
            curve = f"M{start:.1f} {y:.1f}C{m:.1f} {y:.1f} {m:.1f} {z:.1f} {end:.1f} {z:.1f}"
        if target in graph:
            lines.append(f'<path d="{curve}" marker-end="url(#arrow)"/>')
        else:
            lines.append(f'<path d="{curve}H{ends(target)[1]:.1f}"/>')
    lines.append("</g>")
    for name, column, left, width, colour in zip(
        _STAGES, columns, lefts, widths, _COLOURS, strict=True
    ):
        x = left + width / 2
        lines.append(
            f'<text x="{x:.1f}" y="24" text-anchor="middle" font-weight="bold"'
            f' fill="#222222">{escape(name)}</text>'
        )
        for rule in column:
            if rule not in graph:
                continue
            y = heights[rule]
            lines.append(
                f'<rect x="{left:.1f}" y="{y - _HEIGHT / 2:.1f}" width="{width:.1f}"'
                f' height="{_HEIGHT}" rx="4" fill="{colour}"/>'
                f'<text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle"'
                f' fill="#222222">{escape(rule)}</text>'
            )
    return "\n".join([*lines, "</svg>"]) + "\n"


def _columns(graph: Mapping[str, set[str]]) -> tuple[list[list[str]], list[tuple[str, str]]]:
    """Return the rules of each column, and the edges, split where they cross a column.

    A name with a space is not a rule but a place where an edge crosses a column.
    """
    names = [*_STAGES]
    columns: list[list[str]] = [[] for _ in names]
    for rule in sorted(graph, key=_paper_order):
        columns[names.index(stage(rule))].append(rule)
    edges: dict[tuple[str, str], None] = {}
    tables = names.index(_TABLES)
    for target in sorted(graph, key=_paper_order):
        for source in sorted(graph[target], key=_paper_order):
            last = source
            for index in range(names.index(stage(source)) + 1, names.index(stage(target))):
                # Edges from the same rule share their place; in the column of tables and figures,
                # edges to the same rule do.
                passing = f"{target if index == tables else source} {index}"
                if passing not in columns[index]:
                    columns[index].append(passing)
                edges[last, passing] = None
                last = passing
            edges[last, target] = None
    return columns, [*edges]


def _paper_order(rule: str) -> tuple[int, str]:
    """Return a sort key: tables and figures in the paper's order, then the other rules by name."""
    own = [place for place, name in enumerate(_SHOWN) if f"{rule}_".startswith(f"{name}_")]
    return (own[-1] if own else len(_SHOWN), rule)


def _heights(columns: list[list[str]], edges: list[tuple[str, str]]) -> dict[str, float]:
    """Return the vertical middle of each rule in pixels.

    Tables and figures keep their order. Rules of other columns are put near the rules that they
    have edges with, without overlap.
    """
    longest = max(len(column) for column in columns)
    floor = _TOP + (longest - 1) * _STEP
    heights: dict[str, float] = {}
    fixed = [*_STAGES].index(_TABLES)
    for index, column in enumerate(columns):
        if index == fixed:
            heights |= {rule: _TOP + row * _STEP for row, rule in enumerate(column)}
    for index in [*range(fixed - 1, -1, -1), *range(fixed + 1, len(columns))]:
        wanted: dict[str, float] = {}
        for rule in columns[index]:
            near = [heights[b] for a, b in edges if a == rule and b in heights]
            near = near or [heights[a] for a, b in edges if b == rule and a in heights]
            if near:
                wanted[rule] = sum(near) / len(near)
        # A rule that has edges only within its own column goes above the rules that need it.
        for rule in columns[index]:
            beside = [wanted[b] for a, b in edges if a == rule and b in wanted]
            wanted.setdefault(rule, min(beside, default=floor) - _STEP)
        heights |= _spread(wanted, floor)
    return heights


def _spread(wanted: Mapping[str, float], floor: float) -> dict[str, float]:
    """Return places near the wanted ones, at least a step apart, and none below ``floor``."""
    order = sorted(wanted, key=lambda rule: (wanted[rule], rule))
    places: list[float] = []
    for rule in order:
        lowest = places[-1] + _STEP if places else float(_TOP)
        places.append(max(wanted[rule], lowest))
    limit = floor
    for row in range(len(places) - 1, -1, -1):
        places[row] = min(places[row], limit)
        limit = places[row] - _STEP
    return dict(zip(order, places, strict=True))
