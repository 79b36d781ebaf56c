"""Specifications of simulations. Standard library only, because the rules import them too."""

import dataclasses

from resnoise.specs.base import Spec


@dataclasses.dataclass(frozen=True)
class TrivialCaseSpec(Spec):
    """The simulation of the trivial case, appendix D.4.1 (config section ``trivial_case``)."""

    n: int
    last_layer: int
    layer: int
    sigma_w: float
    sigma_g: float
    q: float
    repetitions: int
    seed: int
    n_values: tuple[int, ...]
    layer_values: tuple[int, ...]
    sigma_w_values: tuple[float, ...]
    sigma_g_values: tuple[float, ...]
    q_values: tuple[float, ...]
