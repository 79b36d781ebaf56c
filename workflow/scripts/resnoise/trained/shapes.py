"""The structure of a ResNet from the shapes of its tensors, and what these leave open.

Shapes and names decide nearly everything: channels, kernels, groups of blocks, projections, biases,
and whether batch normalisation comes before the convolutions. They leave open what has no tensors
(``Choices``), of which only some combinations are usual; which one fits, the test error shows
(``resnoise.trained.external``).
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

from resnoise.errors import ResnoiseError
from resnoise.networks.resnet import SHORTCUTS, BlockShape, ConvolutionShape, Shape
from resnoise.trained.conventions import Named


@dataclasses.dataclass(frozen=True)
class Choices:
    """What the tensors of a ResNet do not show.

    Attributes:
        shortcut: one of ``SHORTCUTS`` for blocks that change the number of channels or pixels and
            have no projection; None for networks without shortcuts.
        strided: the convolution of a block that has the stride, 1 or 2.
        stem_pool: whether there is max pooling behind the first convolution.
        activated: whether projections of pre-activation blocks start behind the first ReLU.
        final_relu: whether a ReLU follows the last batch normalisation.
    """

    shortcut: str | None
    strided: int
    stem_pool: bool
    activated: bool
    final_relu: bool

    def told(self, others: "Sequence[Choices]") -> str:
        """Return in words what distinguishes these choices from any of the others."""
        words = {
            "shortcut": f"shortcut {self.shortcut}",
            "strided": f"the stride in convolution {self.strided} of a block",
            "stem_pool": f"{'max' if self.stem_pool else 'no'} pooling before the first block",
            "activated": f"projections {'behind' if self.activated else 'before'} the first ReLU",
            "final_relu": f"{'a' if self.final_relu else 'no'} ReLU before the average pooling",
        }
        return ", ".join(
            text
            for field, text in words.items()
            if any(getattr(other, field) != getattr(self, field) for other in others)
        )


class Structure:
    """The structure of one file's ResNet.

    Attributes:
        named: its tensors.
        preactivation: whether batch normalisation and ReLU come before the convolutions.
        classes: number of logits.
    """

    def __init__(self, named: Named, path: Path) -> None:
        """Read the structure.

        Args:
            named: the tensors.
            path: their file, for messages.

        Raises:
            ResnoiseError: a tensor is missing or has a shape that does not fit.
        """
        self.named = named
        self._path = path
        self._shapes: Mapping[str, tuple[int, ...]] = {
            name: tuple(tensor.shape) for name, tensor in named.weights.items()
        }
        numbers = [self._place(name) for name in self._shapes if name.startswith("layer")]
        self._blocks = [
            1 + max(block for group, block in numbers if group == number)
            for number in range(1, 1 + max(group for group, _ in numbers))
        ]
        self._stem = self._convolution("conv1", self._shape("conv1.weight", 4)[1], "bn1")
        self.classes = self._shape("fc.weight", 2)[0]
        self.preactivation = self._is_preactivation()
        self._check_norms()

    @staticmethod
    def _place(name: str) -> tuple[int, int]:
        group, block = name.removeprefix("layer").split(".")[:2]
        return int(group), int(block)

    @property
    def projections(self) -> list[str]:
        """Return the names in the file of the weights of shortcuts."""
        return [
            original
            for name, original in self.named.originals.items()
            if name.endswith(".downsample.0.weight")
        ]

    def candidates(self, *shortcuts: str, residual: bool) -> list[Choices]:
        """Return the usual networks with these tensors, the most usual one first.

        Args:
            shortcuts: those of ``SHORTCUTS`` that are possible; all of them if none is given.
            residual: whether there are shortcuts.

        Raises:
            ResnoiseError: no such network is possible.
        """
        if not residual and self.projections:
            raise ResnoiseError(
                f"{self._path}: residual: false given, but {self.projections[0]} is a shortcut"
            )
        kinds: Sequence[str | None] = shortcuts or SHORTCUTS
        if not residual:
            kinds = [None]
        elif not self._needs_shortcut():
            if shortcuts:
                raise ResnoiseError(
                    f"{self._path}: shortcut: {shortcuts[0]} given, allowed: auto, because no "
                    "shortcut of this network lacks parameters where channels or pixels change"
                )
            # Any will do: it is not used.
            kinds = SHORTCUTS[:1]
        bottleneck = len(self._branch(1, 0)) > 2
        several = len(self._branch(1, 0)) > 1
        # ResNets for 32 x 32 pixels have a stem of 3 x 3, those for larger pictures one of 7 x 7
        # with pooling; a stem of 3 x 3 with pooling exists too, in networks of four groups.
        large = self._stem.kernel > 3
        pools = [True] if large else [False, True] if len(self._blocks) > 3 else [False]
        activated = [True] if self.named.activated else [True, False]
        if not (self.preactivation and self.projections):
            activated = [False]
        final = self.preactivation and self._has("bn")
        return [
            Choices(*values)
            for values in itertools.product(
                kinds,
                ([2, 1] if bottleneck else [1, 2]) if several else [1],
                pools,
                activated,
                [True, False] if final else [False],
            )
        ]

    @staticmethod
    def open(candidates: Sequence[Choices]) -> str:
        """Return in words what the candidates differ in."""
        words = {
            "shortcut": "the kind of shortcut",
            "strided": "which convolution has the stride",
            "stem_pool": "whether there is pooling before the first block",
            "activated": "where projections start",
            "final_relu": "whether there is a ReLU before the average pooling",
        }
        return " and ".join(
            text
            for field, text in words.items()
            if len({getattr(candidate, field) for candidate in candidates}) > 1
        )

    def shape(self, choices: Choices) -> Shape:
        """Return the whole structure.

        Raises:
            ResnoiseError: a tensor is missing or has a shape that does not fit.
        """
        width = self._stem.outputs
        groups = []
        for group, count in enumerate(self._blocks, start=1):
            blocks = []
            for block in range(count):
                stride = 2 if group > 1 and block == 0 else 1
                blocks.append(self._block(group, block, width, stride, choices))
                width = blocks[-1].convolutions[-1].outputs
            groups.append(tuple(blocks))
        large = self._stem.kernel > 3
        return Shape(
            stem=dataclasses.replace(self._stem, stride=2 if large else 1),
            stem_pool=choices.stem_pool,
            groups=tuple(groups),
            preactivation=self.preactivation,
            activated=choices.activated,
            final_norm=self._has("bn"),
            final_relu=choices.final_relu,
            classes=self.classes,
            bias="fc.bias" in self._shapes,
        )

    def _shape(self, name: str, dimensions: int) -> tuple[int, ...]:
        """Return the shape of a tensor; ResnoiseError if it is missing or of other dimensions."""
        shape = self._shapes.get(name)
        if shape is None:
            raise ResnoiseError(f"{self._path}: missing key {self.original(name)!r}")
        if len(shape) != dimensions:
            raise ResnoiseError(
                f"{self._path}: {self.original(name)} has shape {shape}, needed: {dimensions} "
                "dimensions"
            )
        return shape

    def _has(self, module: str) -> bool:
        """Return whether there is a tensor of a module."""
        return any(name.startswith(f"{module}.") for name in self._shapes)

    def original(self, name: str) -> str:
        """Return a name as it is, or would be, in the file."""
        found = self.named.originals.get(name)
        if found is not None:
            return found
        # The module's name in the file follows from another tensor of the same module.
        module, _, tensor = name.rpartition(".")
        for known, original in self.named.originals.items():
            if known.rpartition(".")[0] == module:
                return f"{original.rpartition('.')[0]}.{tensor}"
        return name

    def _convolution(self, name: str, inputs: int, norm: str, stride: int = 1) -> ConvolutionShape:
        """Return the convolution ``name``, which gets ``inputs`` channels."""
        outputs, taken, rows, columns = self._shape(f"{name}.weight", 4)
        original = self.original(f"{name}.weight")
        if rows != columns or rows % 2 == 0:
            raise ResnoiseError(
                f"{self._path}: {original} has kernels of {rows} x {columns}, allowed: squares "
                "with an odd side"
            )
        if taken == 0 or inputs % taken or outputs % (inputs // taken):
            raise ResnoiseError(
                f"{self._path}: {original} takes {taken} channels, but the layer before gives "
                f"{inputs}"
            )
        return ConvolutionShape(
            inputs=inputs,
            outputs=outputs,
            kernel=rows,
            stride=stride,
            groups=inputs // taken,
            bias=f"{name}.bias" in self._shapes,
            norm=self._has(norm),
        )

    def _branch(self, group: int, block: int) -> list[str]:
        """Return the names of a block's convolutions, without that of the shortcut."""
        names: list[str] = []
        while f"layer{group}.{block}.conv{len(names) + 1}.weight" in self._shapes:
            names.append(f"layer{group}.{block}.conv{len(names) + 1}")
        return names

    def _block(
        self, group: int, block: int, inputs: int, stride: int, choices: Choices
    ) -> BlockShape:
        prefix = f"layer{group}.{block}"
        names = self._branch(group, block) or [f"{prefix}.conv1"]
        convolutions: list[ConvolutionShape] = []
        width = inputs
        for number, name in enumerate(names, start=1):
            own = stride if number == choices.strided else 1
            convolutions.append(self._convolution(name, width, f"{prefix}.bn{number}", own))
            width = convolutions[-1].outputs
        if f"{prefix}.downsample.0.weight" in self._shapes:
            pooled = prefix in self.named.pooled
            projection = self._convolution(
                f"{prefix}.downsample.0",
                inputs,
                f"{prefix}.downsample.1",
                1 if pooled else stride,
            )
            return BlockShape(tuple(convolutions), "projection", projection, pooled)
        kind = choices.shortcut
        if kind is not None and stride == 1 and width == inputs:
            kind = "identity"
        elif kind is not None and (width < inputs or (kind == "stacked" and width % inputs)):
            raise ResnoiseError(
                f"{self._path}: {self.original(f'{names[-1]}.weight')} gives {width} channels, "
                f"but a shortcut without parameters from {inputs} channels"
                f"{' that is stacked needs a multiple' if kind == 'stacked' else ''}"
                f"{'' if kind == 'stacked' else ' needs at least as many'}"
            )
        return BlockShape(tuple(convolutions), kind)

    def _needs_shortcut(self) -> bool:
        """Return whether a block that changes channels or pixels has no projection."""
        width = self._stem.outputs
        for group, count in enumerate(self._blocks, start=1):
            for block in range(count):
                prefix = f"layer{group}.{block}"
                names = self._branch(group, block) or [f"{prefix}.conv1"]
                outputs = self._shape(f"{names[-1]}.weight", 4)[0]
                changes = outputs != width or (group > 1 and block == 0)
                if changes and f"{prefix}.downsample.0.weight" not in self._shapes:
                    return True
                width = outputs
        return False

    def _check_norms(self) -> None:
        """Raise ResnoiseError unless all convolutions in blocks have batch normalisation, or none.

        One that is missing would go unnoticed: the others would move up to its place.
        """
        norms = self._has("layer1.0.bn1")
        for group, count in enumerate(self._blocks, start=1):
            for block in range(count):
                prefix = f"layer{group}.{block}"
                names = self._branch(group, block)
                found = sum(self._has(f"{prefix}.bn{n}") for n in range(1, len(names) + 2))
                if found != (len(names) if norms else 0):
                    first = self.original(f"{names[0] if names else prefix}.weight")
                    raise ResnoiseError(
                        f"{self._path}: the block of {first} has {len(names)} convolutions and "
                        f"{found} batch normalisations, allowed: one for each, or none anywhere"
                    )

    def _is_preactivation(self) -> bool:
        """Return whether the first batch normalisation of a block is that of the block's input.

        It is, if it has as many channels; if input and output of the first convolution have equal
        numbers throughout, the order in the file shows what comes first.
        """
        width = self._stem.outputs
        order = [*self._shapes]
        first_block = ("layer1.0.bn1.weight", "layer1.0.conv1.weight")
        for group, count in enumerate(self._blocks, start=1):
            for block in range(count):
                prefix = f"layer{group}.{block}"
                names = self._branch(group, block) or [f"{prefix}.conv1"]
                outputs = self._shape(f"{names[0]}.weight", 4)[0]
                size = self._shapes.get(f"{prefix}.bn1.weight", (0,))[0]
                if outputs != width and size in (outputs, width):
                    return size == width
                width = self._shape(f"{names[-1]}.weight", 4)[0]
        if not all(name in order for name in first_block):
            return False
        return order.index(first_block[0]) < order.index(first_block[1])
