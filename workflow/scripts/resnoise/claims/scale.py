"""In what a configuration differs from the paper's, for the verdicts. Standard library only."""

from collections.abc import Mapping
from typing import Any

from resnoise import registry

# Keys of a recipe that change no result but by rounding.
_NEUTRAL = {"allow_tf32", "compile", "conv_backend", "snapshot_epochs"}
# Keys of an experiment on which what the claims compare depends; a claim that depends on how many
# seeds there are says so with runs.
_DECISIVE = {
    "twins": {"precision"},
    "layer_cushion": {"samples"},
    "weight_statistics": {"threshold", "id_threshold"},
}


def differences(config: Mapping[str, Any], paper: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return part of the configuration -> texts that say in what it differs from the paper's.

    Args:
        config: a loaded configuration.
        paper: the loaded default configuration, which is the paper's as far as the paper says.
    """
    found = {
        "data": _data(config["data"]),
        "networks": _values(config["networks"], paper["networks"], ""),
    }
    for family in ("simplified", "fully_fledged"):
        of_family = _values(config["training"][family], paper["training"][family], "")
        found[f"training.{family}"] = of_family
    for section, keys in _DECISIVE.items():
        decisive = {key: value for key, value in config[section].items() if key in keys}
        found[section] = _values(decisive, paper[section], f"{section.replace('_', ' ')}: ")
    return found


def _data(data: Mapping[str, Any]) -> list[str]:
    """Return in what the pictures differ from the paper's."""
    differs = registry.source(data["source"]).differs
    if differs is None:
        differs = f"{data['source']} instead of CIFAR-10"
    found = [differs] if differs else []
    for key, kind in (("train_per_class", "training"), ("test_per_class", "test")):
        if data[key] is not None:
            found.append(f"{data[key]} {kind} pictures of each class")
    return found


def _values(section: Mapping[str, Any], paper: Mapping[str, Any], prefix: str) -> list[str]:
    """Return the keys of a section with other values than the paper's."""
    return [
        f"{prefix}{key.replace('_', ' ')} {_text(value)} instead of {_text(paper[key])}"
        for key, value in section.items()
        if key not in _NEUTRAL and value != paper[key]
    ]


def _text(value: Any) -> str:
    """Return a value as one writes it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list | tuple):
        return "[" + " ".join(map(str, value)) + "]"
    return str(value)
