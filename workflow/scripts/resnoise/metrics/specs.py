"""What determines the metrics: specifications beside those of ``resnoise.specs``.

They are here and not there because training depends on that module: a further metric retrains
nothing. Standard library only, because the rules import this module too.
"""

import dataclasses

from resnoise.specs import Spec


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
    """A network trained elsewhere (an item of the config list ``external``); its place, no."""

    name: str
    naming: str
    residual: bool
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None


@dataclasses.dataclass(frozen=True)
class GradientFlowSpec(Spec):
    """What of a run's gradient flow is measured (config section ``gradient_flow``)."""

    samples: int
    sample_seed: int
    precision: str
    epochs: tuple[int, ...]
