"""Which architectures and initialisations exist: name -> module. One line adds one.

The modules are imported by name, so that a run depends on the code of its own architecture and
initialisation and of no other: adding or editing one makes no run of another stale. This module
uses the standard library only, because the rules import it too.
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
        "resnoise.networks.dominant_path", family="simplified", residual=True
    ),
    "dominant-path-lower-full": Architecture(
        "resnoise.networks.dominant_path",
        family="simplified",
        residual=True,
        builder="build_lower_full",
    ),
}

# Name -> module that defines ``draw_kernel(shape, in_block, generator) -> torch.Tensor``.
INITIALISATIONS = {
    "kwi": "resnoise.initialisations.kaiming",
    "hmwi": "resnoise.initialisations.hardt_ma",
    "t-hmwi": "resnoise.initialisations.hardt_ma_transferred",
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
