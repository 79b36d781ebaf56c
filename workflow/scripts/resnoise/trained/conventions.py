"""Names that the usual repositories give to the tensors of ResNets, and the one form of them here.

The tables hold names, with ``#`` for a number. Nothing but names is decided here: whether a name
such as ``residual.2`` is a convolution or a batch normalisation follows from its tensors. The
common form is that of ``resnoise.networks.resnet``.

Repositories with these names: akamaster/pytorch_resnet_cifar10, kuangliu/pytorch-cifar,
chenyaofo/pytorch-cifar-models, huyvnphan/PyTorch_CIFAR10, weiaicunzai/pytorch-cifar100,
bearpaw/pytorch-classification, xternalz/WideResNet-pytorch, meliketoy/wide-resnet.pytorch,
hysts/pytorch_wrn, D-X-Y/ResNeXt-DenseNet and facebookresearch/open_lth.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from torch import Tensor

from resnoise.errors import ResnoiseError
from resnoise.trained.state_dict import Weights

# The first convolution.
STEMS = ("conv1", "conv", "conv0", "conv_1_3x3", "init_conv", "conv1.0", "pre.0", "stem.0")
# Batch normalisations outside of blocks: behind the first convolution or behind the last block.
NORMS = ("bn1", "bn", "bn0", "bn_1", "bn_last", "norm", "conv1.1", "pre.1", "stem.1")
CLASSIFIERS = ("fc", "linear", "classifier")
GROUPS = ("layer#", "stage#", "stage_#", "group#", "block#.layer", "block#", "conv#_x", "conv#")
# A list of all blocks without groups: a group begins where the number of channels changes.
LISTS = ("blocks",)
BLOCKS = ("#", "block#", "unit#")
# Within a block, in the order of their numbers or letters.
BRANCHES = (
    "conv#",
    "conv_a",
    "conv_b",
    "conv_c",
    "bn#",
    "bn_a",
    "bn_b",
    "bn_c",
    "norm#",
    "residual_function.#",
    "residual.#",
    "left.#",
)
SHORTCUTS = (
    "downsample.#",
    "shortcut.#",
    "right.#",
    "downsample",
    "shortcut",
    "convShortcut",
    "shortcut.conv",
    "shortcut.bn",
)
# Shortcuts of pre-activation networks that take their input behind the block's first ReLU.
ACTIVATED = ("convShortcut", "shortcut.conv")
# Shortcuts in a list that begins with average pooling, which has no tensors.
_POOLED = re.compile(r"(?:downsample|shortcut|right)\.1$")

# Tensors of ResNets with further parts, which names alone do not describe.
_OTHERS = {
    "squeeze-and-excitation": re.compile(r".+\.(?:(?:se|se_\w+|senet|squeeze\w*)\.|fc[12]\.)"),
    "a stem of several convolutions": re.compile(
        r"(?:conv1|conv|stem|pre)\.\d+\.|(?:conv|bn)[2-9]\."
    ),
}
_BY_CODE = (
    "a Python file that defines the network makes it measurable: give module and factory beside "
    "path, as docs/any-network.md shows"
)

_NORM_TENSORS = {"running_mean", "running_var"}
# Both may be absent: old files lack the counter, and evaluation does not need it.
_TENSORS = {"weight", "bias", "num_batches_tracked", *_NORM_TENSORS}


def _pattern(names: Iterable[str]) -> str:
    return "|".join(re.escape(name).replace(r"\#", r"\d+") for name in names)


_BLOCK = re.compile(
    rf"(?:(?P<group>{_pattern(GROUPS)})|{_pattern(LISTS)})\.(?P<block>{_pattern(BLOCKS)})\."
    rf"(?:(?P<branch>{_pattern(BRANCHES)})|(?P<shortcut>{_pattern(SHORTCUTS)}))$"
)


@dataclasses.dataclass(frozen=True)
class Named:
    """The tensors of a ResNet under their common names.

    Attributes:
        weights: the tensors, in the order of the file.
        originals: common name -> name in the file.
        activated: whether names say that projections start behind a ReLU.
        pooled: common names of the blocks whose projection averages pixels first.
    """

    weights: Weights
    originals: dict[str, str]
    activated: bool
    pooled: frozenset[str]


@dataclasses.dataclass(frozen=True)
class _Place:
    """Where a module is within the blocks."""

    group: tuple[int, ...]
    block: int
    member: str
    shortcut: bool


def rename(weights: Weights, path: Path) -> Named:
    """Return the tensors of a ResNet under their common names.

    Raises:
        ResnoiseError: a name is in none of the tables, or a part of a ResNet is missing.
    """
    modules: dict[str, dict[str, Tensor]] = {}
    for key, tensor in weights.items():
        module, _, name = key.rpartition(".")
        modules.setdefault(module, {})[name] = tensor
    roots = _roots(modules)
    places = {module: place for module in modules if (place := _place(module))}
    for module, tensors in modules.items():
        for name in tensors:
            known = module in roots or module in places
            if not known or name not in _TENSORS:
                key = f"{module}.{name}" if module else name
                for what, pattern in _OTHERS.items():
                    if places and pattern.match(key):
                        raise ResnoiseError(f"{path}: {key!r} is a tensor of {what}; {_BY_CODE}")
                raise ResnoiseError(
                    f"{path}: unexpected key {key!r}, known are names of ResNets, such as "
                    "conv1.weight, layer1.0.conv1.weight and fc.weight; give rename for others, "
                    "and module and factory for another architecture"
                )
        if {"weight", "bias"} == tensors.keys() and all(t.dim() == 1 for t in tensors.values()):
            raise ResnoiseError(
                f"{path}: {module} has no running_mean, as batch normalisation has it and that of "
                f"groups, for example, has not; {_BY_CODE}"
            )
    _check_parts(roots, places, weights, path)
    common = {**_root_names(modules, roots), **_block_names(modules, places)}
    keys = {f"{common[m]}.{name}": f"{m}.{name}" for m in modules for name in modules[m]}
    if len(keys) != len(weights):
        twice = sorted({m for m in modules if [*common.values()].count(common[m]) > 1})
        raise ResnoiseError(f"{path}: {twice[0]} and {twice[1]} have the same place in a ResNet")
    order = {original: number for number, original in enumerate(weights)}
    originals = dict(sorted(keys.items(), key=lambda pair: order[pair[1]]))
    shortcuts = {module: place for module, place in places.items() if place.shortcut}
    return Named(
        {name: weights[original] for name, original in originals.items()},
        originals,
        any(place.member in ACTIVATED for place in shortcuts.values()),
        frozenset(
            common[module].removesuffix(".downsample.0")
            for module, place in shortcuts.items()
            if _POOLED.match(place.member) and not _NORM_TENSORS & modules[module].keys()
        ),
    )


def common_classifier(weights: Weights) -> Weights:
    """Return the tensors of a simplified network, whose last layer may have one of several names.

    All other names of simplified networks are this project's own.
    """
    return {
        f"fc.{name.rpartition('.')[2]}" if name.rpartition(".")[0] in CLASSIFIERS else name: tensor
        for name, tensor in weights.items()
    }


def _roots(modules: Mapping[str, Mapping[str, Tensor]]) -> dict[str, str]:
    """Return the modules outside of blocks: their names and what they are."""
    kinds = {**dict.fromkeys(STEMS, "stem"), **dict.fromkeys(NORMS, "norm")}
    kinds |= dict.fromkeys(CLASSIFIERS, "classifier")
    return {module: kinds[module] for module in modules if module in kinds}


def _place(module: str) -> _Place | None:
    """Return where a module is within the blocks; None for others."""
    found = _BLOCK.match(module)
    if found is None:
        return None
    group = tuple(map(int, re.findall(r"\d+", found["group"] or "")))
    block = int(re.findall(r"\d+", found["block"])[0])
    return _Place(group, block, found["branch"] or found["shortcut"], bool(found["shortcut"]))


def _check_parts(
    roots: Mapping[str, str], places: Mapping[str, _Place], weights: Weights, path: Path
) -> None:
    """Raise ResnoiseError unless there are one stem, one classifier and blocks without a gap."""
    beginning = f"its keys are {', '.join([*weights][:4])}, ..."
    for kind, names in (("stem", STEMS), ("classifier", CLASSIFIERS)):
        found = [module for module, own in roots.items() if own == kind]
        what = {"stem": "first convolution", "classifier": "last layer"}[kind]
        if not found:
            raise ResnoiseError(f"{path}: no {what}, known names: {', '.join(names)}; {beginning}")
        if len(found) > 1:
            raise ResnoiseError(f"{path}: {found[0]} and {found[1]} can both be the {what}")
    if not places:
        raise ResnoiseError(f"{path}: no blocks, known names: layer1.0.conv1, ...; {beginning}")
    blocks: dict[tuple[int, ...], set[int]] = {}
    for place in places.values():
        blocks.setdefault(place.group, set()).add(place.block)
    for what, numbers in (
        ("groups", {number for group in blocks for number in group}),
        *(("blocks of a group", numbers) for numbers in blocks.values()),
    ):
        # They begin with 0 or 1, the groups of conv2_x, conv3_x, ... with 2.
        if numbers and (min(numbers) > 2 or max(numbers) - min(numbers) >= len(numbers)):
            raise ResnoiseError(
                f"{path}: {what} have the numbers {', '.join(map(str, sorted(numbers)))}, "
                "allowed: numbers without a gap"
            )


def _root_names(
    modules: Mapping[str, Mapping[str, Tensor]], roots: Mapping[str, str]
) -> dict[str, str]:
    """Return common names of the modules outside of blocks.

    A batch normalisation with as many channels as the first convolution belongs to it, unless the
    linear layer has as many as well; then the one that comes first in the file does.
    """
    named = {}
    stem, classifier = (
        next(module for module, kind in roots.items() if kind == wanted)
        for wanted in ("stem", "classifier")
    )
    named[stem], named[classifier] = "conv1", "fc"
    shapes = [modules[module].get("weight") for module in (stem, classifier)]
    first = shapes[0].shape[:1] if shapes[0] is not None else None
    last = shapes[1].shape[1:] if shapes[1] is not None else None
    for module, kind in roots.items():
        if kind != "norm":
            continue
        tensor = modules[module].get("running_mean")
        shape = None if tensor is None else tensor.shape
        behind = [*modules].index(module) > max(
            (place for place, other in enumerate(modules) if other not in roots), default=0
        )
        final = shape == last and (shape != first or behind)
        named[module] = "bn" if final else "bn1"
    return named


def _block_names(
    modules: Mapping[str, Mapping[str, Tensor]], places: Mapping[str, _Place]
) -> dict[str, str]:
    """Return common names of the modules in blocks."""
    blocks = sorted({(place.group, place.block) for place in places.values()})
    numbers: dict[tuple[tuple[int, ...], int], tuple[int, int]] = {}
    group, within, width = 0, 0, None
    for block in blocks:
        members = sorted(
            (_natural(place.member), module)
            for module, place in places.items()
            if (place.group, place.block) == block and not place.shortcut
        )
        weight = next(
            (w for _, m in members if (w := modules[m].get("weight")) is not None and w.dim() == 4),
            None,
        )
        # In a list without groups, a block with other channels than the last begins a group.
        outputs = None if weight is None or block[0] else weight.shape[0]
        previous = [*numbers][-1][0] if numbers else None
        if previous != block[0] or outputs != width:
            group, within = group + 1, 0
        numbers[block] = (group, within)
        within, width = within + 1, outputs
    named = {}
    counts: dict[str, int] = {}
    for module in sorted(places, key=lambda module: _natural(places[module].member)):
        place = places[module]
        prefix = "layer{}.{}".format(*numbers[place.group, place.block])
        norm = bool(_NORM_TENSORS & modules[module].keys())
        if place.shortcut:
            named[module] = f"{prefix}.downsample.{int(norm)}"
            continue
        part = f"{prefix}.{'bn' if norm else 'conv'}"
        counts[part] = counts.get(part, 0) + 1
        named[module] = f"{part}{counts[part]}"
    return named


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts numbers in names by value."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
