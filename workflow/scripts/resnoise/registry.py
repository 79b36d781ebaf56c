"""The tables of all architectures, initialisations, metrics and data sources. One line adds one.

Modules are imported by name, so that a result depends on the code of its own architecture,
initialisation, metric and source only: adding or editing one never makes results of another stale.
This module uses the standard library only, because the rules import it too. Names become parts of
file names: use letters, digits and hyphens. docs/extending.md has a complete example of each table.
"""

import dataclasses
import functools
import importlib
from collections.abc import Callable, Collection, Mapping
from types import ModuleType
from typing import Any

from resnoise import parameters, provenance
from resnoise.errors import ResnoiseError
from resnoise.parameters import Parameter


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A network architecture.

    Attributes:
        module: defines ``build(depth, width, classes, in_channels, residual) -> torch.nn.Module``.
        family: section of the configuration's ``training`` that holds its recipe.
        residual: True if the network has identity connections.
        native: module that computes the network in C where possible. It defines
            ``backend(network, threads)`` and ``supported(network, height, width)``. None: there is
            no such code.
        fused: module that computes it on a graphics card in Triton, with the same functions.
        builder: name of the function ``build``, for modules that define several.
    """

    module: str
    family: str
    residual: bool
    native: str | None = None
    fused: str | None = None
    builder: str = "build"

    @property
    def fact(self) -> str:
        """What of this entry decides which network is built (see ``provenance.code_digest``)."""
        return f"network:{'residual' if self.residual else 'plain'}:{self.builder}"

    def own_code(self, conv_backend: str) -> str | None:
        """Return the module that may compute the network instead of PyTorch, if there is one."""
        if conv_backend == "torch":
            return None
        return self.fused if conv_backend == "triton" else self.native


ARCHITECTURES = {
    "plain": Architecture(
        "resnoise.networks.simplified",
        family="simplified",
        residual=False,
        native="resnoise.native.network",
        fused="resnoise.native.fused",
    ),
    "residual": Architecture(
        "resnoise.networks.simplified",
        family="simplified",
        residual=True,
        native="resnoise.native.network",
        fused="resnoise.native.fused",
    ),
    "full-plain": Architecture(
        "resnoise.networks.fully_fledged", family="fully_fledged", residual=False
    ),
    "full-residual": Architecture(
        "resnoise.networks.fully_fledged", family="fully_fledged", residual=True
    ),
    "dominant-path": Architecture(
        "resnoise.networks.dominant_path",
        family="simplified",
        residual=True,
        native="resnoise.native.dominant_path",
    ),
    "dominant-path-lower-full": Architecture(
        "resnoise.networks.dominant_path",
        family="simplified",
        residual=True,
        native="resnoise.native.dominant_path",
        builder="build_lower_full",
    ),
}


def has_shortcuts(name: str) -> bool:
    """Return whether an architecture has a kind of shortcut (key ``networks.shortcut``)."""
    return ARCHITECTURES[name].residual and ARCHITECTURES[name].family == "fully_fledged"


@dataclasses.dataclass(frozen=True)
class Initialisation:
    """Weights before training.

    Attributes:
        module: defines ``draw_kernel(shape, in_block, generator, **parameters) -> torch.Tensor``.
        parameters: the named numbers that it takes.
    """

    module: str
    parameters: tuple[Parameter, ...] = ()


INITIALISATIONS = {
    "kwi": Initialisation("resnoise.initialisations.kaiming"),
    "hmwi": Initialisation("resnoise.initialisations.hardt_ma"),
    "t-hmwi": Initialisation("resnoise.initialisations.hardt_ma_transferred"),
    "id-entries": Initialisation(
        "resnoise.initialisations.id_entries",
        parameters=(Parameter("alpha", 0, 1), Parameter("noise", 0, 100, default=1)),
    ),
    "dirac": Initialisation("resnoise.initialisations.dirac"),
    "orthogonal": Initialisation("resnoise.initialisations.orthogonal"),
    "t-inverse-kwi": Initialisation("resnoise.initialisations.kaiming_transferred_back"),
}


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric of a trained network.

    Attributes:
        module: defines ``measure(run: TrainedRun, device: torch.device, **keys) -> DataFrame``.
            The keys are those of the configuration section with the metric's name, if there is
            one. If ``spec`` is given, the module instead defines
            ``measure_run(run, spec, outputs, computing)``, which writes the files itself.
        spec: name of the metric's specification in ``resnoise.specs.metrics``. A metric with a
            specification has a rule of its own; the target ``metrics`` measures the others.
        figure: module that draws the figure of a metric without ``spec``, None for no figure. It
            defines ``make(files) -> Drawing``; the files are the runs' measurements,
            ``metrics/NAME.csv`` beside each run's ``run.json``.
    """

    module: str
    spec: str | None = None
    figure: str | None = None


METRICS = {
    "evaluation": Metric("resnoise.metrics.evaluation", spec="EvaluationSpec"),
    "layer_cushion": Metric("resnoise.metrics.layer_cushion", spec="LayerCushionSpec"),
    "noise_stability": Metric("resnoise.metrics.noise_stability", spec="NoiseStabilitySpec"),
    "interlayer_cushion": Metric(
        "resnoise.metrics.interlayer_cushion", spec="InterlayerCushionSpec"
    ),
    "gradient_flow": Metric("resnoise.metrics.gradient_flow", spec="GradientFlowSpec"),
    # Of networks trained elsewhere.
    "call_flow": Metric("resnoise.metrics.call_flow", spec="CallFlowSpec"),
    "weight_statistics": Metric("resnoise.metrics.weight_statistics", spec="WeightStatisticsSpec"),
    "margin": Metric("resnoise.metrics.margin", figure="resnoise.figures.margin"),
    "bounds": Metric("resnoise.metrics.bounds"),
}
OWN_METRICS = [name for name, entry in METRICS.items() if entry.spec is None]
DRAWN_METRICS = [name for name in OWN_METRICS if METRICS[name].figure]


@dataclasses.dataclass(frozen=True)
class Source:
    """A source of pictures (key ``data.source``).

    Attributes:
        module: defines ``read(path: Path) -> Samples``, or ``read() -> Samples`` if it needs no
            path.
        path: where the pictures come from: "downloaded" (CIFAR-10's archive), "file" or
            "file or folder" (named by the key ``data.path``), or "" if an installed package
            contains them.
        differs: how the pictures differ from the paper's, in words for the report. "": they are the
            paper's. None: the report says "NAME instead of CIFAR-10", NAME being the source's.
        classes: number of classes, None if unknown.
        per_class: numbers of training and test pictures of the smallest class, None if unknown.
        pictures: number of training pictures of all classes, None if unknown.
    """

    module: str
    path: str = ""
    differs: str | None = None
    classes: int | None = None
    per_class: tuple[int, int] | None = None
    pictures: int | None = None

    @property
    def is_local(self) -> bool:
        """Whether the pictures are in the local file or folder ``data.path``."""
        return self.path in ("file", "file or folder")


_CIFAR10 = Source(
    "resnoise.data.cifar_archive",
    path="downloaded",
    differs="",
    classes=10,
    per_class=(5000, 1000),
    pictures=50_000,
)

SOURCES = {
    "cifar10": _CIFAR10,
    "archive": dataclasses.replace(_CIFAR10, path="file"),
    "pictures": Source(
        "resnoise.data.pictures",
        path="file or folder",
        differs="pictures from image files, which may be others than CIFAR-10's",
    ),
    "digits": Source(
        "resnoise.data.digits",
        differs="scikit-learn's digits instead of CIFAR-10",
        classes=10,
        per_class=(140, 34),
        pictures=1442,
    ),
}


def mistakes(families: Collection[str]) -> list[str]:
    """Return which families and modules the tables name that do not exist, in words.

    Args:
        families: the sections of ``training``.
    """
    tables: dict[str, Mapping[str, Any]] = {
        "architecture": ARCHITECTURES,
        "initialisation": INITIALISATIONS,
        "metric": METRICS,
        "source": SOURCES,
    }
    found = [
        f"registry.py: family {entry.family!r} given for the architecture {name}, allowed: "
        f"{', '.join(families)}"
        for name, entry in ARCHITECTURES.items()
        if entry.family not in families
    ]
    for kind, table in tables.items():
        for name, entry in table.items():
            for key in ("module", "native", "fused", "figure"):
                module = getattr(entry, key, None)
                if module and not provenance.is_project_module(module):
                    found.append(
                        f"registry.py: {key} {module!r} given for the {kind} {name}, allowed: a "
                        "module of workflow/scripts, such as resnoise.networks.simplified"
                    )
    return found


def architecture(name: str) -> Architecture:
    """Return the architecture called ``name``; ResnoiseError if there is none."""
    found: Architecture = _look_up(ARCHITECTURES, name, "architecture")
    return found


def plugin_modules(
    architecture_name: str, initialisation: str, conv_backend: str
) -> tuple[str, ...]:
    """Return the names of the modules that a run loads by name, for these three of its settings.

    The last one is the fact about the network that their code does not say.
    """
    entry = architecture(architecture_name)
    own_code = entry.own_code(conv_backend)
    modules = (entry.module, own_code, initialisation_module(initialisation), entry.fact)
    return tuple(module for module in modules if module)


@functools.cache
def network_modules(
    script: str, architecture_name: str, conv_backend: str, *plugins: str
) -> tuple[str, ...]:
    """Return the modules that a script loads by name: those of a network, and plugins.

    Among them is the fact about the network that their code does not say.
    """
    entry = architecture(architecture_name)
    modules = {entry.module, entry.fact, *plugins}
    own_code = entry.own_code(conv_backend)
    # Only the module ``backend`` loads that code.
    if own_code and "resnoise.training.backend" in provenance.closure(script, *plugins):
        modules.add(own_code)
    return tuple(sorted(modules))


def facts() -> dict[str, str]:
    """Return the fact about each network that the digests of code do not cover."""
    return {name: entry.fact for name, entry in ARCHITECTURES.items()}


def changed_since(start: Mapping[str, str]) -> list[str]:
    """Return the networks of which ``facts`` said something else at the start of the workflow."""
    now = facts()
    return [f"the registry's {name}" for name, fact in start.items() if now.get(name) != fact]


def source(name: str) -> Source:
    """Return the data source called ``name``; ResnoiseError if there is none."""
    found: Source = _look_up(SOURCES, name, "source")
    return found


def metric(name: str) -> Metric:
    """Return the metric called ``name``; ResnoiseError if there is none."""
    found: Metric = _look_up(METRICS, name, "metric")
    return found


def load_source(name: str) -> ModuleType:
    """Import and return the module of a data source."""
    return importlib.import_module(source(name).module)


def load_architecture(name: str) -> ModuleType:
    """Import and return the module of an architecture."""
    return importlib.import_module(architecture(name).module)


def load_own_code(name: str, conv_backend: str) -> ModuleType | None:
    """Import and return the module that computes an architecture, None if only PyTorch does."""
    module = architecture(name).own_code(conv_backend)
    return importlib.import_module(module) if module else None


@dataclasses.dataclass(frozen=True)
class Kernels:
    """An initialisation with its parameters: ``draw_kernel(shape, in_block, generator)``."""

    draw_kernel: Callable[..., Any]


def initialisation_module(specification: str) -> str:
    """Return the name of the module of an initialisation; ResnoiseError if unknown."""
    name, _ = initialisation_parameters(specification)
    return INITIALISATIONS[name].module


def load_initialisation(specification: str) -> Kernels:
    """Import the module of an initialisation and set its parameters; ResnoiseError if unknown."""
    name, values = initialisation_parameters(specification)
    module = importlib.import_module(INITIALISATIONS[name].module)
    return Kernels(functools.partial(module.draw_kernel, **values))


def initialisation_parameters(specification: str) -> tuple[str, dict[str, float]]:
    """Return name and parameters of ``id-entries_alpha=0.5``, without those that are not written.

    Raises:
        ResnoiseError: there is no such initialisation, or this is not how it is written.
    """
    try:
        initialisation_text(specification)
    except ResnoiseError as error:
        message = f"initialisation {specification!r} is unknown, allowed: {error}"
        raise ResnoiseError(message) from None
    name, values = parameters.read(specification)
    return name, {key: float(value) for key, value in values.items()}


def initialisation_text(given: object) -> str:
    """Return the specification of an initialisation that a configuration names.

    Args:
        given: a name, a specification such as "id-entries_alpha=0.5", or a mapping of name and
            parameters.

    Raises:
        ResnoiseError: there is no such initialisation, or a specification is not written in its
            shortest form. The message is what is allowed.
    """
    name: object = None
    values: Mapping[str, object] = {}
    if isinstance(given, str):
        name, values = parameters.read(given)
    elif isinstance(given, Mapping):
        name, values = given.get("name"), {key: given[key] for key in given if key != "name"}
    if not isinstance(name, str) or name not in INITIALISATIONS:
        raise ResnoiseError(f"one of {', '.join(INITIALISATIONS)}")
    known = INITIALISATIONS[name].parameters
    text = parameters.written(name, known, parameters.check(name, known, values))
    if isinstance(given, str) and text != given:
        raise ResnoiseError(text)
    return text


def initialisation_pattern() -> str:
    """Return a regular expression for the specifications of all initialisations."""
    return "|".join(
        parameters.pattern(name, entry.parameters) for name, entry in INITIALISATIONS.items()
    )


def _look_up(table: dict[str, Any], name: str, kind: str) -> Any:
    if name not in table:
        raise ResnoiseError(f"{kind} {name!r} is unknown, allowed: {', '.join(table)}")
    return table[name]
