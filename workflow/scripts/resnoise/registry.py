"""Which architectures, initialisations, metrics and data sources there are. One line adds one.

The modules are imported by name, so that a result depends on the code of its own architecture,
initialisation, metric or source and of no other: adding or editing one makes no result of another
stale. This module uses the standard library only, because the rules import it too. Names become
parts of file names: letters, digits and hyphens. docs/extending.md has a complete example of each.
"""

import dataclasses
import importlib
from types import ModuleType
from typing import Any

from resnoise.errors import ResnoiseError


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A network architecture.

    Attributes:
        module: defines ``build(depth, width, classes, in_channels, residual) -> torch.nn.Module``.
        family: section of the configuration's ``training`` that holds its recipe.
        residual: whether the identity connections are there.
        native: computes the network in C where it can: defines ``backend(network, threads)`` and
            ``supported(network, height, width)``. None: PyTorch computes it.
        builder: name of ``build`` in a module with several of them.
    """

    module: str
    family: str
    residual: bool
    native: str | None = None
    builder: str = "build"

    @property
    def modules(self) -> tuple[str, ...]:
        """Return all modules that networks of this architecture load by name."""
        return (self.module,) if self.native is None else (self.module, self.native)


ARCHITECTURES = {
    "plain": Architecture(
        "resnoise.networks.simplified",
        family="simplified",
        residual=False,
        native="resnoise.native.network",
    ),
    "residual": Architecture(
        "resnoise.networks.simplified",
        family="simplified",
        residual=True,
        native="resnoise.native.network",
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

# Name -> module that defines ``draw_kernel(shape, in_block, generator) -> torch.Tensor``.
INITIALISATIONS = {
    "kwi": "resnoise.initialisations.kaiming",
    "hmwi": "resnoise.initialisations.hardt_ma",
    "t-hmwi": "resnoise.initialisations.hardt_ma_transferred",
}

# Metrics of a run that need no rule of their own: name -> module that defines
# ``measure(run: TrainedRun, device: torch.device) -> pandas.DataFrame``.
METRICS = {
    "margin": "resnoise.metrics.margin",
}


@dataclasses.dataclass(frozen=True)
class Source:
    """A source of pictures (key ``data.source``).

    Attributes:
        module: defines ``read(path: Path) -> Samples``, or ``read() -> Samples`` if it needs no
            path.
        path: what it is read from: "downloaded" (CIFAR-10's archive), "file", "file or folder" (the
            key ``data.path`` says which), or "" if an installed package has the pictures.
        differs: in what the pictures differ from the paper's; None: all of them do; "": in nothing.
        per_class: training and test pictures of the smallest class, None if it can be any number.
        pictures: training pictures of all classes, None if it can be any number.
    """

    module: str
    path: str = ""
    differs: str | None = None
    per_class: tuple[int, int] | None = None
    pictures: int | None = None

    @property
    def is_local(self) -> bool:
        """Whether the key ``data.path`` says where it is."""
        return self.path in ("file", "file or folder")


_CIFAR10 = Source(
    "resnoise.data.cifar_archive",
    path="downloaded",
    differs="",
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
        per_class=(140, 34),
        pictures=1442,
    ),
}


def architecture(name: str) -> Architecture:
    """Return the architecture called ``name``; ResnoiseError if there is none."""
    found: Architecture = _look_up(ARCHITECTURES, name, "architecture")
    return found


def plugin_modules(architecture_name: str, initialisation: str) -> tuple[str, ...]:
    """Return the modules that a run loads by name: its architecture's and its initialisation's."""
    return (
        *architecture(architecture_name).modules,
        _look_up(INITIALISATIONS, initialisation, "initialisation"),
    )


def source(name: str) -> Source:
    """Return the data source called ``name``; ResnoiseError if there is none."""
    found: Source = _look_up(SOURCES, name, "source")
    return found


def metric_module(name: str) -> str:
    """Return the name of the module of a metric; ResnoiseError if there is none."""
    return str(_look_up(METRICS, name, "metric"))


def load_metric(name: str) -> ModuleType:
    """Import and return the module of a metric."""
    return importlib.import_module(metric_module(name))


def load_source(name: str) -> ModuleType:
    """Import and return the module of a data source."""
    return importlib.import_module(source(name).module)


def load_architecture(name: str) -> ModuleType:
    """Import and return the module of an architecture."""
    return importlib.import_module(architecture(name).module)


def load_native(name: str) -> ModuleType | None:
    """Import and return the module that computes an architecture in C, None if there is none."""
    native = architecture(name).native
    return importlib.import_module(native) if native else None


def load_initialisation(name: str) -> ModuleType:
    """Import and return the module of an initialisation."""
    return importlib.import_module(_look_up(INITIALISATIONS, name, "initialisation"))


def _look_up(table: dict[str, Any], name: str, kind: str) -> Any:
    if name not in table:
        raise ResnoiseError(f"{kind} {name!r} is unknown, allowed: {', '.join(table)}")
    return table[name]
