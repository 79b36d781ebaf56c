"""How a configuration differs from the paper's, for the verdicts. Standard library only."""

from collections.abc import Mapping, Sequence
from typing import Any

from resnoise import registry

# Keys of a recipe that change results by rounding errors at most.
_NEUTRAL = {"allow_tf32", "compile", "conv_backend", "snapshot_epochs"}
# Keys of a recipe that are parts of their own, because the weight term before training depends on
# them and on no other key of the recipe.
_PENALTY = ("batch_size", "penalty", "penalty_divided_by_batch")
# Keys of an experiment that change what its claims compare. A claim for which the number of seeds
# matters says so itself, with the key runs.
_DECISIVE = {
    "twins": {"precision"},
    "layer_cushion": {"samples"},
    "weight_statistics": {"threshold", "id_threshold"},
}


def differences(config: Mapping[str, Any], paper: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return part of the configuration -> texts, one for each difference from the paper's.

    The parts are ``resnoise.claims.definition.SCALE``; each difference belongs to one of them.

    Args:
        config: a loaded configuration.
        paper: the loaded default configuration, which is the paper's as far as the paper says.
    """
    found = {
        "data": _data(config["data"], paper["data"]),
        "data.classes": _classes(config["data"], paper["data"]),
        "networks": _values(config["networks"], paper["networks"], ""),
    }
    for family in ("simplified", "fully_fledged"):
        recipe, papers = config["training"][family], paper["training"][family]
        others = {key: value for key, value in recipe.items() if key not in _PENALTY}
        found[f"training.{family}"] = _values(others, papers, "")
        for key in _PENALTY:
            found[f"training.{family}.{key}"] = _values({key: recipe[key]}, papers, "")
    for section, keys in _DECISIVE.items():
        decisive = {key: value for key, value in config[section].items() if key in keys}
        found[section] = _values(decisive, paper[section], f"{section.replace('_', ' ')}: ")
    return found


def within(part: str, found: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the differences in a part of the configuration and in the parts below it.

    Args:
        part: a part, such as "training.simplified".
        found: what ``differences`` returned.
    """
    return [
        text
        for name, texts in found.items()
        if name == part or name.startswith(f"{part}.")
        for text in texts
    ]


def _data(data: Mapping[str, Any], paper: Mapping[str, Any]) -> list[str]:
    """Return how the pictures differ from the paper's."""
    differs = registry.source(data["source"]).differs
    if differs is None:
        differs = f"{data['source']} instead of CIFAR-10"
    found = [differs] if differs else []
    for key, kind in (("train_per_class", "training"), ("test_per_class", "test")):
        if data[key] is not None:
            found.append(f"{data[key]} {kind} pictures of each class")
    scaling = {"scaling": data["scaling"]}
    return found + _values(scaling, paper, "")


def _classes(data: Mapping[str, Any], paper: Mapping[str, Any]) -> list[str]:
    """Return how the number of classes differs from the paper's, as far as it is known."""
    classes, papers = (registry.source(one["source"]).classes for one in (data, paper))
    known = classes is not None and classes != papers
    return [f"{classes} classes instead of {papers}"] if known else []


def _values(section: Mapping[str, Any], paper: Mapping[str, Any], prefix: str) -> list[str]:
    """Return a text for each key of a section whose value is not the paper's."""
    return [
        f"{prefix}{key.replace('_', ' ')} {_text(value)} instead of {_text(paper[key])}"
        for key, value in section.items()
        if key not in _NEUTRAL and value != paper[key]
    ]


def _text(value: Any) -> str:
    """Return a value of the configuration as text for people."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list | tuple):
        return "[" + " ".join(map(str, value)) + "]"
    return str(value)
