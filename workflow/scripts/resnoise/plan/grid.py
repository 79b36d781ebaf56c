"""The grid of training runs: the runs each table and figure needs, and the folders of their files.

Standard library only, because the rules import this module too.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from resnoise import registry
from resnoise.specs.compared import DOSE, TABLE1

# Folder of a run below the results folder, and its log below the folder of logs.
FOLDER = "runs/{architecture}-{depth}/{initialisation}/seed{seed}"
_NUMBERS = ("depth", "seed")
LOG = "train/{architecture}-{depth}-{initialisation}-seed{seed}.log"


def pattern(folder: str) -> re.Pattern[str]:
    """Return a pattern for the paths of a folder such as ``FOLDER``, with a group for each name."""
    parts = re.split(r"\{(\w+)\}", folder)
    groups = [
        rf"(?P<{name}>\d+)" if name in _NUMBERS else rf"(?P<{name}>[^/]+)" for name in parts[1::2]
    ]
    texts = [re.escape(text) for text in parts[::2]]
    return re.compile("".join(a + b for a, b in zip(texts, [*groups, ""], strict=True)))


def wildcards(folder: str) -> str:
    """Return a folder such as ``FOLDER`` with ``*`` in the place of each name, to look for."""
    return re.sub(r"\{\w+\}", "*", folder)


class Run(NamedTuple):
    """A training run of the grid."""

    architecture: str
    depth: int
    initialisation: str
    seed: int

    @property
    def folder(self) -> str:
        """Return the run's folder below the results folder."""
        return FOLDER.format(**self._asdict())


TWIN_FOLDER = "twins/depth{depth}/seed{seed}"
TWIN_LOG = "twins/depth{depth}-seed{seed}.log"

# Table 4 and Figure 9: plain networks from KWI and from the transferred T(HMWI).
TRANSFERRED = (("plain", "kwi"), ("plain", "t-hmwi"))
# Twins: a residual network and a plain one that starts as the same function (Table 2, Figure 6).
TWINS = (("residual", "hmwi"), ("plain", "t-hmwi"))


def table1_runs(config: Mapping[str, Any]) -> list[Run]:
    """Return the runs of Table 1 for a validated configuration."""
    return _plain_and_residual(config["table1"])


def further_runs(config: Mapping[str, Any]) -> list[Run]:
    """Return the runs in the configuration's list ``runs``, without duplicates."""
    runs = [
        Run(item["architecture"], depth, item["initialisation"], seed)
        for item in config["runs"]
        for depth in item["depths"]
        for seed in item["seeds"]
    ]
    return [*dict.fromkeys(runs)]


def metric_runs(config: Mapping[str, Any]) -> list[Run]:
    """Return the runs that the target ``metrics`` measures: those of Table 1 and of ``runs``."""
    return [*dict.fromkeys([*table1_runs(config), *further_runs(config)])]


def layer_cushion_runs(config: Mapping[str, Any]) -> list[Run]:
    """Return the runs of Figure 3, which compares the networks of Table 1."""
    return _plain_and_residual(config["layer_cushion"])


def noise_stability_runs(config: Mapping[str, Any]) -> list[Run]:
    """Return the runs of the noise stability figure, which compares the networks of Table 1."""
    return _plain_and_residual(config["noise_stability"])


def interlayer_cushion_runs(config: Mapping[str, Any]) -> list[Run]:
    """Return the runs whose interlayer cushions are compared."""
    section = config["interlayer_cushion"]
    initialisations = dict(TABLE1)
    # With batch normalisation the scale of the initial weights does not matter, so the other
    # architectures use the common KWI.
    return [
        Run(architecture, depth, initialisations.get(architecture, "kwi"), seed)
        for architecture in section["architectures"]
        for depth in section["depths"]
        for seed in section["seeds"]
    ]


def weight_statistics_runs(config: Mapping[str, Any]) -> list[Run]:
    """Return the runs of Table 3 and Figure 7, which compare the networks of Table 1."""
    section = config["weight_statistics"]
    return _pairs(TABLE1, [section["depth"]], section["seeds"])


def table4_runs(config: Mapping[str, Any]) -> list[Run]:
    """Return the runs of Table 4: plain networks from KWI, and from T(HMWI)."""
    return _pairs(TRANSFERRED, config["table4"]["depths"], config["table4"]["seeds"])


def figure8_runs(config: Mapping[str, Any]) -> list[Run]:
    """Return the runs of Figure 8, which compares the networks of Table 1."""
    return _plain_and_residual(config["figure8"])


def figure9_runs(config: Mapping[str, Any]) -> list[Run]:
    """Return the runs of Figure 9: plain networks from KWI, and from T(HMWI)."""
    return _pairs(TRANSFERRED, config["figure9"]["depths"], config["figure9"]["seeds"])


def _plain_and_residual(section: Mapping[str, Any]) -> list[Run]:
    """Return runs of the networks of Table 1 with the depths and seeds of a section."""
    return _pairs(TABLE1, section["depths"], section["seeds"])


def _pairs(kinds: Iterable[tuple[str, str]], depths: list[int], seeds: list[int]) -> list[Run]:
    """Return a run for each kind (architecture, initialisation), depth and seed."""
    return [
        Run(architecture, depth, initialisation, seed)
        for architecture, initialisation in kinds
        for depth in depths
        for seed in seeds
    ]


def twin_pairs(config: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Return depth and seed of each pair of twins (Table 2, Figure 6)."""
    section = config["twins"]
    return [(depth, seed) for depth in section["depths"] for seed in section["seeds"]]


def twin_folders(config: Mapping[str, Any]) -> list[str]:
    """Return the folders of all pairs of twins."""
    return [TWIN_FOLDER.format(depth=depth, seed=seed) for depth, seed in twin_pairs(config)]


# Table 5 compares residual networks with networks of dominant paths only, all from HMWI.
TABLE5 = ("residual", "dominant-path")
LOWER_FULL = "dominant-path-lower-full"


def table5_runs(config: Mapping[str, Any]) -> list[Run]:
    """Return the runs of Table 5 for a validated configuration."""
    section = config["table5"]
    pairs = [(name, depth) for name in TABLE5 for depth in section["depths"]]
    # The table gives the accuracy of lower-full networks as a share of the residual network's, so
    # it needs residual networks at these depths too.
    lower_full = section["lower_full"]["depths"]
    pairs += [("residual", depth) for depth in lower_full if depth not in section["depths"]]
    pairs += [(LOWER_FULL, depth) for depth in lower_full]
    runs = [Run(name, depth, "hmwi", seed) for name, depth in pairs for seed in section["seeds"]]
    # What the paper prints for residual networks are numbers of plain ones that start equal.
    return runs + _pairs([("plain", "t-hmwi")], section["depths"], section["seeds"])


# Figure 12 compares plain and residual networks, both simplified and fully-fledged.
GRADIENT_FLOW = (*TABLE1, ("full-plain", "kwi"), ("full-residual", "kwi"))


def gradient_flow_runs(config: Mapping[str, Any]) -> list[Run]:
    """Return the runs of figures 10 and 12 for a validated configuration."""
    section = config["gradient_flow"]
    return [
        Run(architecture, section["depth"], initialisation, seed)
        for architecture, initialisation in GRADIENT_FLOW
        for seed in section["seeds"]
    ]


def figure10_runs(config: Mapping[str, Any]) -> list[Run]:
    """Return the runs of Figure 10, which shows simplified residual networks."""
    return [run for run in gradient_flow_runs(config) if run.architecture == "residual"]


# Architectures drawn in figures 4 and 5, which need no run.
DRAWN = tuple(architecture for architecture, _ in GRADIENT_FLOW)


def dose_runs(config: Mapping[str, Any]) -> list[Run]:
    """Return plain networks with each dose of identity, and those of Table 1 to compare with."""
    section = config["conjecture"]
    family, doses = section["initialisation"], section["doses"]
    named = [registry.initialisation_text({"name": family, DOSE: dose}) for dose in doses]
    kinds = [TABLE1[0], *(("plain", initialisation) for initialisation in named), TABLE1[1]]
    return _pairs(kinds, section["depths"], section["seeds"])


def conjecture_runs(config: Mapping[str, Any]) -> list[Run]:
    """Return the runs that test the paper's conjecture: those of doses and of other causes.

    No run is there twice.
    """
    section = config["conjecture"]
    others = [(item["architecture"], item["initialisation"]) for item in section["others"]]
    runs = _pairs(others, section["depths"], section["seeds"])
    return [*dict.fromkeys([*dose_runs(config), *runs])]


# Section of the configuration -> function that returns its runs. "twins" is not here: it has pairs.
SECTIONS: dict[str, Callable[[Mapping[str, Any]], list[Run]]] = {
    "table1": table1_runs,
    "layer_cushion": layer_cushion_runs,
    "noise_stability": noise_stability_runs,
    "interlayer_cushion": interlayer_cushion_runs,
    "table4": table4_runs,
    "table5": table5_runs,
    "figure8": figure8_runs,
    "figure9": figure9_runs,
    "gradient_flow": gradient_flow_runs,
    "weight_statistics": weight_statistics_runs,
}


def claim_runs(config: Mapping[str, Any]) -> dict[str, list[tuple[dict[str, Any], str]]]:
    """Return the sets of runs that claims refer to: name -> (run, folder) of each run.

    A run is a dictionary of architecture, depth, initialisation and seed; its folder is relative to
    the results folder. ``twins`` has an entry for each network of Table 2, ``twin_pairs`` one for
    each residual and plain pair.
    """
    found = {
        name: [(run._asdict(), run.folder) for run in runs(config)]
        for name, runs in SECTIONS.items()
    }
    found["twins"], found["twin_pairs"] = [], []
    for depth, seed in twin_pairs(config):
        folder = TWIN_FOLDER.format(depth=depth, seed=seed)
        for architecture, initialisation in TWINS:
            run = Run(architecture, depth, initialisation, seed)._asdict()
            found["twins"].append((run, f"{folder}/{architecture}"))
        found["twin_pairs"].append((Run("twins", depth, "hmwi", seed)._asdict(), folder))
    return found


# Sets of ``claim_runs`` that are not called like their section.
CLAIM_SECTIONS = {"twin_pairs": "twins"}
# File directly in the results folder that claims may use -> section with the runs that it needs.
CLAIM_TABLES = {
    "layer_cushion_counts.csv": "layer_cushion",
    "table4.csv": "table4",
    "figure10.csv": "gradient_flow",
    "figure11.csv": "",
    "figure13.csv": "",
}
# Those that the statements about the conjecture may use.
CONJECTURE_TABLES = ("conjecture/prediction.csv",)
