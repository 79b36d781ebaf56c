"""A trained network as a stem and a chain of blocks, and each block's Jacobian at given inputs.

A block is relu(conv(... relu(conv(x))) [+ shortcut(x)]), batch normalisation in evaluation mode
folded into the convolutions. Its Jacobian at x needs the weights and the signs of the ReLUs only:

    J = D_m W_m ... D_1 W_1   [+ D_m S]

with W_l the convolutions, D_l the 0/1 diagonals of the ReLUs that are active at x (that of a ReLU
at exactly 0 is 0, as in PyTorch), and S the shortcut: a matrix that maps the channels of a pixel,
after every other pixel has been left out or pixels have been averaged where the block has a stride.
"""

import dataclasses
import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnoise.errors import ResnoiseError
from resnoise.networks.transfer import id_entries


@dataclasses.dataclass(frozen=True, eq=False)
class Convolution:
    """A convolution with an odd kernel, zero-padded so that only the stride changes the size.

    Attributes:
        kernel: [C_out, C_in, k, k].
        bias: [C_out].
        stride: rows and columns from one output to the next.
    """

    kernel: Tensor
    bias: Tensor
    stride: int

    @property
    def padding(self) -> int:
        """Return the number of zeros added on each side."""
        return self.kernel.shape[2] // 2

    def __call__(self, x: Tensor) -> Tensor:
        """Map [B, C_in, H, W] to [B, C_out, ceil(H / stride), ceil(W / stride)]."""
        return F.conv2d(x, self.kernel, self.bias, self.stride, self.padding)

    def linear(self, x: Tensor) -> Tensor:
        """Map [B, C_in, H, W] to [B, C_out, ceil(H / stride), ceil(W / stride)], without bias."""
        return F.conv2d(x, self.kernel, None, self.stride, self.padding)

    def transposed(self, y: Tensor, height: int, width: int) -> Tensor:
        """Map [B, C_out, h, w] to [B, C_in, height, width] by the transposed linear map."""
        if self.stride == 1:
            # The same as a convolution with the flipped kernel, which PyTorch computes faster.
            return F.conv2d(y, self._flipped, None, 1, self.padding)
        lacking = tuple(
            size - (small - 1) * self.stride - 1
            for size, small in ((height, y.shape[2]), (width, y.shape[3]))
        )
        return F.conv_transpose2d(y, self.kernel, None, self.stride, self.padding, lacking)

    @functools.cached_property
    def _flipped(self) -> Tensor:
        flipped = self.kernel.transpose(0, 1).flip(2, 3)
        return flipped.contiguous(memory_format=torch.channels_last)


@dataclasses.dataclass(frozen=True, eq=False)
class Block:
    """Convolutions, each followed by a ReLU; the shortcut is added before the last ReLU.

    Attributes:
        convolutions: at least one.
        shortcut: None for a plain block; otherwise [C_out, C_in], applied to every pixel that the
            stride keeps: the unit matrix, zero padding or stacking of channels, a projection.
        shortcut_bias: [C_out]; None if there is none.
        pooled: whether the shortcut averages squares of stride x stride pixels instead of keeping
            the first pixel of each.
    """

    convolutions: tuple[Convolution, ...]
    shortcut: Tensor | None
    shortcut_bias: Tensor | None = None
    pooled: bool = False

    @functools.cached_property
    def stride(self) -> int:
        """Return the stride of the whole block."""
        total = 1
        for convolution in self.convolutions:
            total *= convolution.stride
        return total

    def linearise(self, x: Tensor) -> "LinearBlock":
        """Return value and Jacobian at inputs [S, C, H, W].

        Raises:
            ResnoiseError: the shortcut averages pixels, and the stride does not divide H and W.
        """
        if self.pooled and (x.shape[2] % self.stride or x.shape[3] % self.stride):
            raise ResnoiseError(
                f"a block averages squares of {self.stride} x {self.stride} pixels, but gets "
                f"{x.shape[2]} x {x.shape[3]}; allowed: multiples of {self.stride}"
            )
        values: list[Tensor] = []
        y = x
        for place, layer in enumerate(self.convolutions, start=1):
            y = layer(y)
            if place == len(self.convolutions) and self.shortcut is not None:
                y += self.shortcut_map(x)
                if self.shortcut_bias is not None:
                    y += self.shortcut_bias[:, None, None]
            y = torch.relu_(y)
            values.append(y)
        masks = tuple((value > 0).to(x.dtype) for value in values)
        return LinearBlock(self, x.shape[2:], masks, y)

    def shortcut_map(self, x: Tensor) -> Tensor:
        """Map [B, C_in, H, W] to [B, C_out, ceil(H / stride), ceil(W / stride)]."""
        assert self.shortcut is not None
        if self._identity:
            return x
        if self.pooled:
            kept = F.avg_pool2d(x, self.stride)
        else:
            kept = x[:, :, :: self.stride, :: self.stride]
        return F.conv2d(kept, self.shortcut[:, :, None, None])

    def shortcut_transposed(self, y: Tensor, height: int, width: int) -> Tensor:
        """Map [B, C_out, h, w] to [B, C_in, height, width] by the transposed shortcut."""
        assert self.shortcut is not None
        if self._identity:
            return y
        small = F.conv2d(y, self.shortcut.t()[:, :, None, None])
        if self.stride == 1:
            return small
        if self.pooled:
            return F.interpolate(small, scale_factor=self.stride) / self.stride**2
        x = small.new_zeros(*small.shape[:2], height, width)
        x[:, :, :: self.stride, :: self.stride] = small
        return x

    @functools.cached_property
    def _identity(self) -> bool:
        assert self.shortcut is not None
        outputs, inputs = self.shortcut.shape
        unit = torch.eye(outputs).to(self.shortcut)
        return self.stride == 1 and outputs == inputs and bool((self.shortcut == unit).all())


@dataclasses.dataclass(frozen=True, eq=False)
class LinearBlock:
    """The Jacobians of a block at S inputs.

    Attributes:
        block: the block.
        size: height and width of the inputs.
        masks: for every convolution, [S, C, h, w]: 1 where the ReLU after it is active, else 0.
        output: the block's output at the inputs, [S, C_out, h, w].
    """

    block: Block
    size: torch.Size
    masks: tuple[Tensor, ...]
    output: Tensor

    def forward(self, v: Tensor) -> Tensor:
        """Return J v for k vectors per sample: [k, S, C_in, H, W] -> [k, S, C_out, ...].

        ``v`` is not changed.
        """
        shape = v.shape[:2]
        x = v.flatten(0, 1)
        y = x
        for convolution, mask in zip(self.block.convolutions[:-1], self.masks[:-1], strict=True):
            y = _masked(convolution.linear(y), mask, shape)
        y = self.block.convolutions[-1].linear(y)
        if self.block.shortcut is not None:
            y += self.block.shortcut_map(x)
        y = _masked(y, self.masks[-1], shape)
        return y.view(*shape, *y.shape[1:])

    def backward(self, u: Tensor) -> Tensor:
        """Return J^T u for k vectors per sample: the transpose of ``forward``.

        ``u`` [k, S, C_out, h, w] is overwritten.
        """
        shape = u.shape[:2]
        top = _masked(u.flatten(0, 1), self.masks[-1], shape)
        v = top
        sizes = [self.size, *(mask.shape[2:] for mask in self.masks[:-1])]
        for place in range(len(sizes) - 1, -1, -1):
            v = self.block.convolutions[place].transposed(v, *sizes[place])
            if place > 0:
                v = _masked(v, self.masks[place - 1], shape)
        if self.block.shortcut is not None:
            v += self.block.shortcut_transposed(top, *self.size)
        return v.view(*shape, *v.shape[1:])

    def select(self, samples: Tensor) -> "LinearBlock":
        """Return the Jacobians at some of the inputs only, given by their positions."""
        masks = tuple(mask[samples] for mask in self.masks)
        return dataclasses.replace(self, masks=masks, output=self.output[:0])


def _masked(x: Tensor, mask: Tensor, shape: torch.Size) -> Tensor:
    """Multiply [k S, C, h, w] in place by [S, C, h, w], the same for all k."""
    x.view(*shape, *x.shape[1:]).mul_(mask)
    return x


@dataclasses.dataclass(frozen=True, eq=False)
class Chain:
    """A network up to its last block.

    Attributes:
        stem: maps pictures [B, C, H, W] to the input of the first block.
        blocks: the blocks from input to output.
    """

    stem: Callable[[Tensor], Tensor]
    blocks: tuple[Block, ...]


@torch.no_grad()
def chain(network: nn.Module) -> Chain:
    """Return the chain of blocks of a network, with batch normalisation as in evaluation mode.

    The network is recognised by its parts: ``conv1``, perhaps ``bn1`` and ``maxpool``, and groups
    ``layer1``, ``layer2``, ... of blocks, each with ``conv``, or with ``conv1``, ``conv2``, ... and
    perhaps ``bn1``, ``bn2``, ... Weights are taken as they are now, in their type and on their
    device.

    Raises:
        ResnoiseError: a network that is not built like this.
    """
    parts = dict(network.named_children())
    groups = [parts[name] for name in sorted(parts) if name.startswith("layer")]
    if getattr(network, "preactivation", False):
        raise ResnoiseError(
            "a pre-activation network given, allowed: networks whose blocks end with a ReLU"
        )
    try:
        first = _fold(parts["conv1"], parts.get("bn1"))
        blocks = tuple(_block(block) for group in groups for block in group.children())
    except (KeyError, AttributeError) as error:
        raise ResnoiseError(
            f"a network of type {type(network).__name__} given, allowed: conv1 and blocks of "
            f"convolutions in layer1, layer2, ... ({error!r})"
        ) from error
    pool = parts.get("maxpool", nn.Identity())

    def stem(x: Tensor) -> Tensor:
        y: Tensor = pool(torch.relu_(first(x)))
        return y

    return Chain(stem, blocks)


def _block(block: nn.Module) -> Block:
    """Return a block of one convolution with bias, or of several with batch normalisation."""
    parts = dict(block.named_children())
    if "conv" in parts:
        convolutions = [_fold(parts["conv"], None)]
    else:
        count = sum(name.startswith("conv") for name in parts)
        numbers = range(1, count + 1)
        convolutions = [_fold(parts[f"conv{n}"], parts.get(f"bn{n}")) for n in numbers]
    pooled = getattr(block, "pooled", False)
    return Block(tuple(convolutions), *_shortcut(block, parts, convolutions), pooled)


def _shortcut(
    block: nn.Module, parts: dict[str, nn.Module], convolutions: list[Convolution]
) -> tuple[Tensor | None, Tensor | None]:
    """Return matrix and bias of a block's shortcut, None for none."""
    if not getattr(block, "residual", True):
        return None, None
    kernel = convolutions[0].kernel
    if "conv" in parts:
        # In a simplified network the identity connection is at the ID entries.
        return id_entries(kernel.shape).any(3).any(2).to(kernel), None
    if isinstance(projection := parts.get("downsample"), nn.Sequential):
        folded = _fold(*projection)
        return folded.kernel[:, :, 0, 0], folded.bias
    inputs = kernel.shape[1]
    unit = torch.eye(inputs).to(kernel)
    shortcut = getattr(block, "shortcut", None)
    if shortcut is None:
        return unit, None
    # Apply the block's own shortcut to pictures of one pixel with a 1 in one channel.
    return shortcut(unit[:, :, None, None])[:, :, 0, 0].t().contiguous(), None


def _fold(convolution: nn.Module, norm: nn.Module | None) -> Convolution:
    """Return a convolution with the batch normalisation that follows it folded in."""
    assert isinstance(convolution, nn.Conv2d)
    kernel = convolution.weight
    bias = kernel.new_zeros(len(kernel)) if convolution.bias is None else convolution.bias
    if convolution.groups > 1:
        # The same as a convolution of all channels that is 0 between groups.
        parts = kernel.chunk(convolution.groups)
        wide = kernel.new_zeros(len(kernel), convolution.in_channels, *kernel.shape[2:])
        rows, columns = (size // convolution.groups for size in wide.shape[:2])
        for group, part in enumerate(parts):
            wide[group * rows : (group + 1) * rows, group * columns : (group + 1) * columns] = part
        kernel = wide
    if norm is not None and not isinstance(norm, nn.Identity):
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None and norm.running_var is not None
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        kernel = kernel * scale[:, None, None, None]
        bias = norm.bias + (bias - norm.running_mean) * scale
    kernel = kernel.detach().contiguous(memory_format=torch.channels_last)
    (stride,) = set(convolution.stride)
    return Convolution(kernel, bias.detach(), stride)
