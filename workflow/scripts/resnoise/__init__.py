"""Noise stability of plain and residual networks: the library behind the rules.

Nothing in this package depends on Snakemake, but for ``console``, which is what people see of a
workflow, and ``plan.records``, which knows the form of its records. The scripts beside the package
are thin command lines for it. For notebooks there is ``from resnoise import layer_cushions,
interlayer_cushions, noise_stability, gradient_flow, margins``: see docs/any-network.md.
"""

import importlib
from typing import Any

__all__ = ["gradient_flow", "interlayer_cushions", "layer_cushions", "margins", "noise_stability"]


def __getattr__(name: str) -> Any:
    # Loaded when asked for, because the rules import this package without PyTorch.
    if name in __all__:
        return getattr(importlib.import_module("resnoise.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
