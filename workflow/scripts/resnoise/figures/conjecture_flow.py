"""Dominant gradient flow against the size of the ID entries before training, by depth."""

from collections.abc import Sequence
from pathlib import Path

from resnoise.figures import doses, style
from resnoise.summaries.conjecture import flows, over_doses

MEASURES = {
    "iteration1": "$f_l$, mean of layers,\nfirst iteration",
    "final": "$f_l$, mean of layers,\nlast iteration",
}


def make(files: Sequence[Path], *, initialisation: str, reading: str, layers: str) -> style.Drawing:
    """Make the figure from the ``gradient_flow.csv`` of runs, with its numbers.

    Args:
        files: measurements of doses, and of the networks to compare them with.
        initialisation: name of the initialisation whose parameter is the dose.
        reading: how dominant gradient flow is read.
        layers: which layers count.
    """
    rows = flows(files, reading=reading, layers=layers)
    table = over_doses(rows, initialisation, [*MEASURES])
    return style.Drawing(doses.draw(table, MEASURES, log=False), table)
