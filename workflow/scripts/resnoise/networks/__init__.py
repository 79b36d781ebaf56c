"""The networks of section 2 and appendix A, one module for each architecture."""

from typing import Protocol, cast

from torch import nn

from resnoise import registry
from resnoise.specs.run import NetworkSpec


class _HasShortcuts(Protocol):
    """A network with kinds of shortcuts to choose from."""

    def choose_shortcut(self, kind: str) -> None:
        """Give all blocks shortcuts of a kind."""


def build(spec: NetworkSpec, classes: int, in_channels: int = 3) -> nn.Module:
    """Return the network of ``spec`` in float32, not yet initialised as a run needs it.

    Args:
        spec: architecture, depth, width and kind of shortcut.
        classes: number of outputs.
        in_channels: channels of the pictures.

    Raises:
        ResnoiseError: unknown architecture, or a depth that it cannot have.
    """
    architecture = registry.architecture(spec.architecture)
    builder = getattr(registry.load_architecture(spec.architecture), architecture.builder)
    network: nn.Module = builder(
        spec.depth, spec.width, classes, in_channels, architecture.residual
    )
    if spec.shortcut is not None:
        cast(_HasShortcuts, network).choose_shortcut(spec.shortcut)
    return network
