"""The tables and figures, in the paper's order. Standard library only: the rules import it too."""

import dataclasses
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Artefact:
    """A table or a figure.

    Attributes:
        name: name of the rule that makes it.
        title: name for people.
        place: section or appendix of the paper; "" if it is beyond the paper.
        file: file to look at, in the results folder: Markdown for a table, PNG for a figure.
        data: file with its numbers (CSV), in the results folder.
        section: section of the configuration with the runs that it needs (``grid.SECTIONS``, or
            "twins"); "" if it needs none, or is beyond the paper.
    """

    name: str
    title: str
    place: str
    file: str
    data: str
    section: str = ""

    @property
    def is_figure(self) -> bool:
        """Whether it is a figure, not a table."""
        return self.file.endswith(".png")


def _table(name: str, title: str, place: str, stem: str = "", section: str = "") -> Artefact:
    stem = stem or name
    return Artefact(name, title, place, f"{stem}.md", f"{stem}.csv", section)


def _figure(name: str, title: str, place: str, stem: str = "", section: str = "") -> Artefact:
    stem = stem or name
    return Artefact(name, title, place, f"{stem}.png", f"{stem}.csv", section)


# In the paper's order: section 5, then appendices A to E.
ARTEFACTS = (
    _figure("figure3", "Figure 3: layer cushions", "Section 5", section="layer_cushion"),
    _table(
        "layer_cushion_table",
        "Layer cushions by layer",
        "Section 5",
        "layer_cushion",
        section="layer_cushion",
    ),
    _table(
        "interlayer_table",
        "Interlayer cushions of blocks",
        "Section 5",
        "interlayer_blocks",
        section="interlayer_cushion",
    ),
    _figure(
        "interlayer_figure",
        "Interlayer cushions of all spans",
        "Section 5",
        "interlayer_cushion",
        section="interlayer_cushion",
    ),
    _figure(
        "noise_stability_figure",
        "What noise in one layer does",
        "Section 5",
        "noise_stability",
        section="noise_stability",
    ),
    _figure("figure4", "Figure 4: architectures", "Appendix A"),
    _figure("figure5", "Figure 5: blocks", "Appendix A"),
    _table("table1", "Table 1: plain and residual networks", "Appendix A", section="table1"),
    _figure(
        "training_curves",
        "Training curves of the networks of Table 1",
        "Appendix A",
        section="table1",
    ),
    _table("table2", "Table 2: equal networks", "Appendix B", section="twins"),
    _figure("figure6", "Figure 6: how equal networks drift apart", "Appendix B", section="twins"),
    _figure(
        "figure7", "Figure 7: distributions of weights", "Appendix C", section="weight_statistics"
    ),
    _table("table3", "Table 3: statistics of weights", "Appendix C", section="weight_statistics"),
    _table("table4", "Table 4: risk and weight term", "Appendix D", section="table4"),
    _figure("figure8", "Figure 8: risk and error in training", "Appendix D", section="figure8"),
    _figure("figure9", "Figure 9: KWI against T(HMWI)", "Appendix D.1", section="figure9"),
    _table("figure9_growth", "Growth of the risk with depth", "Appendix D.1", section="figure9"),
    _table("table5", "Table 5: dominant paths", "Appendix D.3", section="table5"),
    _figure(
        "figure10",
        "Figure 10: gradients of the pooled outputs",
        "Appendix D.4.1",
        section="gradient_flow",
    ),
    _figure("figure11", "Figure 11: the trivial case", "Appendix D.4.1"),
    _figure(
        "figure12", "Figure 12: dominant gradient flow", "Appendix D.4.2", section="gradient_flow"
    ),
    _table(
        "figure12_ratios",
        "Gradient flow, residual by plain",
        "Appendix D.4.2",
        section="gradient_flow",
    ),
    _table(
        "figure12_readings",
        "Figure 12 by three readings",
        "Appendix D.4.2",
        section="gradient_flow",
    ),
    _figure("figure13", "Figure 13: an inequality of Gaussian variables", "Appendix E"),
)

# Of all networks that were trained elsewhere together.
ELSEWHERE = (
    _table("external_networks_table", "All networks side by side", "", "external/networks"),
    _figure(
        "external_networks_figure", "Layer cushions of all networks", "", "external/layer_cushions"
    ),
    _figure(
        "external_flows_figure",
        "Dominant gradient flow of all networks",
        "",
        "external/gradient_flows",
    ),
)

# Of the part that tests the paper's conjecture (docs/conjecture.md).
CONJECTURE = (
    _figure("conjecture_dose", "Risk and test error by ID entries", "", "conjecture/dose"),
    _figure("conjecture_cushion", "Layer cushions by ID entries", "", "conjecture/cushion"),
    _figure("conjecture_flow", "Gradient flow by ID entries", "", "conjecture/flow"),
    _table("conjecture_runs", "Doses of identity and other causes", "", "conjecture/runs"),
    _table("conjecture_bounds", "Generalisation bounds of all runs", "", "conjecture/bounds"),
    _table("conjecture_prediction", "Which measure predicts", "", "conjecture/prediction"),
    _figure(
        "conjecture_prediction_figure",
        "Which measure predicts, as a figure",
        "",
        "conjecture/prediction_figure",
    ),
    _table("conjecture_verdict", "Whether the conjecture survives", "", "conjecture/verdict"),
)

ALL = (*ARTEFACTS, *ELSEWHERE, *CONJECTURE)
_BY_NAME = {artefact.name: artefact for artefact in ALL}
# Titles of further tables and figures beyond the paper's: of each network that was trained
# elsewhere, of Figure 3 at every snapshot, of further runs.
_FURTHER = {
    "interlayer_blocks": "Interlayer cushions of blocks",
    "interlayer_heatmap": "Interlayer cushions of all spans",
    "layer_cushion": "Layer cushions",
    "figure3_snapshots": "Figure 3 during training",
    "runs": "Further runs",
}


def stem(name: str) -> str:
    """Return the name of an artefact's files without suffix, such as "layer_cushion"."""
    return Path(_BY_NAME[name].data).stem if name in _BY_NAME else name


def title(name: str) -> str:
    """Return an artefact's name for people, such as "Figure 3: layer cushions"."""
    return _BY_NAME[name].title if name in _BY_NAME else _FURTHER.get(name, name)
