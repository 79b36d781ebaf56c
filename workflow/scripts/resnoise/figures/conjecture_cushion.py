"""Layer cushions after training, against the size of the ID entries before it, by depth."""

from collections.abc import Sequence
from pathlib import Path

from resnoise.figures import doses, style
from resnoise.summaries.conjecture import cushions, over_doses

MEASURES = {
    "cushion_median": "layer cushion,\nmedian of layers",
    "cushion_smallest": "layer cushion,\nsmallest of layers",
}


def make(files: Sequence[Path], *, initialisation: str) -> style.Drawing:
    """Make the figure from the ``layer_cushion.csv`` of runs, with its numbers.

    Only plain networks are shown. The cushion of a residual network includes the identity, but not
    its ones in the norm of the weights, so that it is not that of the plain network that computes
    the same function. alpha 1 starts as this plain network.

    Args:
        files: measurements of doses, and of the networks to compare them with.
        initialisation: name of the initialisation whose parameter is the dose.
    """
    rows = cushions(files)
    table = over_doses(rows[rows["architecture"] == "plain"], initialisation, [*MEASURES])
    return style.Drawing(doses.draw(table, MEASURES, log=False), table)
