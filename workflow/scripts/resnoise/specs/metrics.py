"""Specifications of measurements.

They are not in ``resnoise.specs.run``, because training depends on that module: a new metric must
not make trained networks stale. Standard library only, because the rules import this module too.
"""

import dataclasses

from resnoise.specs.base import Spec


@dataclasses.dataclass(frozen=True)
class EvaluationSpec(Spec):
    """Risk, cost and error of a run; there are no options."""


@dataclasses.dataclass(frozen=True)
class SampledSpec(Spec):
    """Which training pictures and weights of a run are measured; the schema explains the keys."""

    samples: int | None
    sample_seed: int
    every_snapshot: bool


@dataclasses.dataclass(frozen=True)
class LayerCushionSpec(SampledSpec):
    """Layer cushions of a run (config section ``layer_cushion``)."""


@dataclasses.dataclass(frozen=True)
class NoiseStabilitySpec(SampledSpec):
    """Noise stability of a run (config section ``noise_stability``)."""

    sizes: tuple[float, ...]
    repeats: int
    noise_seed: int


@dataclasses.dataclass(frozen=True)
class InterlayerCushionSpec(SampledSpec):
    """Interlayer cushions of a run (config section ``interlayer_cushion``)."""

    relative_error: float
    max_probes: int
    probe_seed: int
    precision: str


@dataclasses.dataclass(frozen=True)
class WeightStatisticsSpec(Spec):
    """Weight statistics of a run (config section ``weight_statistics``)."""

    threshold: float
    id_threshold: float
    bin_width: float


@dataclasses.dataclass(frozen=True)
class ExternalSpec(Spec):
    """A network trained elsewhere (an item of the config list ``external``).

    The paths of its files are left out on purpose: moving a file must not make results stale.
    ``factory`` is None for a network that follows from its state dict.
    """

    name: str
    factory: str | None
    between: tuple[str, ...]
    rename: dict[str, str | None]
    residual: bool
    shortcut: str
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None


@dataclasses.dataclass(frozen=True)
class GradientFlowSpec(Spec):
    """Dominant gradient flow of a run (config section ``gradient_flow``)."""

    samples: int
    sample_seed: int
    precision: str
    epochs: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class CallFlowSpec(SampledSpec):
    """Dominant gradient flow of a network trained elsewhere (config section ``gradient_flow``)."""

    precision: str
