"""Small ResNets with the names and the forward passes of usual repositories for CIFAR-10."""

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck
from torchvision.models.resnet import ResNet as TorchvisionNet

WIDTHS = (4, 8, 16, 32)


def conv(
    inputs: int, outputs: int, size: int = 3, stride: int = 1, bias: bool = False
) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=bias)


def relu(x: Tensor) -> Tensor:
    return torch.relu(x)


def pad(x: Tensor, outputs: int, both: bool) -> Tensor:
    missing = outputs - x.shape[1]
    return F.pad(
        x, (0, 0, 0, 0, missing // 2 if both else 0, missing - missing // 2 if both else missing)
    )


# Shortcuts without parameters, as functions of the input and the number of output channels.
FREE: dict[str, Callable[[Tensor, int], Tensor]] = {
    "padded-around": lambda x, n: pad(x[:, :, ::2, ::2], n, both=True),
    "padded-after": lambda x, n: pad(F.avg_pool2d(x, 1, 2), n, both=False),
    "stacked": lambda x, n: torch.cat([x[:, :, ::2, ::2]] * 2, dim=1),
    "pooled-around": lambda x, n: pad(F.avg_pool2d(x, 2), n, both=True),
    "pooled-after": lambda x, n: pad(F.avg_pool2d(x, 2), n, both=False),
}


class Block(nn.Module):
    """conv1, bn1, conv2, bn2, ...: akamaster, kuangliu, chenyaofo, huyvnphan, open_lth."""

    def __init__(
        self,
        inputs: int,
        width: int,
        stride: int,
        shortcut: str = "shortcut",
        free: str | None = None,
        bias: bool = False,
        bottleneck: bool = False,
        pooled: bool = False,
    ) -> None:
        super().__init__()
        outputs = 4 * width if bottleneck else width
        sizes = [(inputs, width, 1), (width, width, 3), (width, outputs, 1)]
        if not bottleneck:
            sizes = [(inputs, width, 3), (width, width, 3)]
        self.count, self.free, self.outputs = len(sizes), free, outputs
        for n, (a, b, size) in enumerate(sizes, start=1):
            own = stride if n == (2 if bottleneck else 1) else 1
            self.add_module(f"conv{n}", conv(a, b, size, own, bias))
            self.add_module(f"bn{n}", nn.BatchNorm2d(b))
        self.changes = stride > 1 or inputs != outputs
        self.skip: list[nn.Module] = []
        if self.changes and free is None:
            pool = [nn.AvgPool2d(stride)] if pooled else []
            parts = [
                *pool,
                conv(inputs, outputs, 1, 1 if pooled else stride),
                nn.BatchNorm2d(outputs),
            ]
            self.add_module(shortcut, nn.Sequential(*parts))
            self.skip = parts

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for n in range(1, self.count + 1):
            y = getattr(self, f"bn{n}")(getattr(self, f"conv{n}")(y))
            y = relu(y) if n < self.count else y
        if self.changes and self.free is not None:
            return relu(y + FREE[self.free](x, self.outputs))
        for part in self.skip:
            x = part(x)
        return relu(y + x)


def chain(
    make: Callable[[int, int, int], nn.Module], widths: Sequence[int], out: int = 1
) -> list[list[nn.Module]]:
    """Return two blocks for each width, the first of every group but the first with stride 2."""
    inputs, groups = WIDTHS[0], []
    for place, width in enumerate(widths):
        groups.append([make(inputs, width, 2 if place else 1), make(out * width, width, 1)])
        inputs = out * width
    return groups


class Net(nn.Module):
    """conv1, bn1, layer1, ..., and a linear layer (or other names)."""

    def __init__(
        self,
        groups: int = 3,
        names: tuple[str, str, str, str] = ("conv1", "bn1", "layer", "linear"),
        pool: bool = False,
        bias: bool = False,
        **block: object,
    ) -> None:
        super().__init__()
        self.names, self.pool, self.count = names, pool, groups
        stem, norm, group, last = names
        self.add_module(stem, conv(3, WIDTHS[0], bias=bias))
        self.add_module(norm, nn.BatchNorm2d(WIDTHS[0]))
        out = 4 if block.get("bottleneck") else 1
        make = lambda a, b, s: Block(a, b, s, bias=bias, **block)  # type: ignore[arg-type]  # noqa: E731
        made = chain(make, WIDTHS[:groups], out)
        if group == "blocks":
            self.blocks = nn.Sequential(*(block for blocks in made for block in blocks))
        else:
            for n, blocks in enumerate(made, start=1):
                self.add_module(f"{group}{n}", nn.Sequential(*blocks))
        self.add_module(last, nn.Linear(out * WIDTHS[groups - 1], 10))

    def forward(self, x: Tensor) -> Tensor:
        stem, norm, group, last = self.names
        x = relu(getattr(self, norm)(getattr(self, stem)(x)))
        x = F.max_pool2d(x, 3, 2, 1) if self.pool else x
        if group == "blocks":
            x = self.blocks(x)
        else:
            for n in range(1, self.count + 1):
                x = getattr(self, f"{group}{n}")(x)
        logits: Tensor = getattr(self, last)(F.adaptive_avg_pool2d(x, 1).flatten(1))
        return logits


class LetteredBlock(nn.Module):
    """D-X-Y/ResNeXt-DenseNet."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv_a, self.bn_a = conv(inputs, width, 3, stride), nn.BatchNorm2d(width)
        self.conv_b, self.bn_b = conv(width, width), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn_b(self.conv_b(relu(self.bn_a(self.conv_a(x)))))
        return relu(
            y + (x if x.shape == y.shape else torch.cat((F.avg_pool2d(x, 1, 2), 0 * y[:, ::2]), 1))
        )


class LetteredNet(nn.Module):
    """conv_1_3x3, bn_1, stage_1, ..., classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_1_3x3, self.bn_1 = conv(3, 4), nn.BatchNorm2d(4)
        self.stage_1, self.stage_2, self.stage_3 = (
            nn.Sequential(*g) for g in chain(LetteredBlock, WIDTHS[:3])
        )
        self.classifier = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = relu(self.bn_1(self.conv_1_3x3(x)))
        x = self.stage_3(self.stage_2(self.stage_1(x)))
        logits: Tensor = self.classifier(F.avg_pool2d(x, x.shape[2]).flatten(1))
        return logits


class FunctionBlock(nn.Module):
    """resnet.py of weiaicunzai/pytorch-cifar100."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.residual_function = nn.Sequential(
            conv(inputs, width, 3, stride),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            conv(width, width),
            nn.BatchNorm2d(width),
        )
        self.shortcut = nn.Sequential()
        if stride > 1 or inputs != width:
            self.shortcut = nn.Sequential(conv(inputs, width, 1, stride), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.residual_function(x) + self.shortcut(x))


class FunctionNet(nn.Module):
    """conv1.0, conv1.1, conv2_x, ..., fc."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(conv(3, 4), nn.BatchNorm2d(4), nn.ReLU())
        groups = [nn.Sequential(*g) for g in chain(FunctionBlock, WIDTHS)]
        self.conv2_x, self.conv3_x, self.conv4_x, self.conv5_x = groups
        self.fc = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv5_x(self.conv4_x(self.conv3_x(self.conv2_x(self.conv1(x)))))
        logits: Tensor = self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))
        return logits


class PreActivationBlock(nn.Module):
    """bn1, conv1, bn2, conv2; the shortcut's name and place differ between repositories."""

    def __init__(self, inputs: int, width: int, stride: int, style: str) -> None:
        super().__init__()
        second = style == "meliketoy"
        bias = style == "meliketoy"
        self.style, self.changes = style, stride > 1 or inputs != width
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = conv(inputs, width, 3, 1 if second else stride, bias)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = conv(width, width, 3, stride if second else 1, bias)
        projection = conv(inputs, width, 1, stride, bias) if self.changes else None
        if style == "xternalz":
            self.convShortcut = projection
        elif projection is not None and style == "bearpaw":
            self.downsample = nn.Sequential(projection)
        elif projection is not None:
            self.shortcut = nn.Sequential()
            self.shortcut.add_module("conv" if style == "hysts" else "0", projection)

    def forward(self, x: Tensor) -> Tensor:
        first = relu(self.bn1(x))
        y = self.conv2(relu(self.bn2(self.conv1(first))))
        if not self.changes:
            return y + x
        if self.style == "xternalz":
            return y + self.convShortcut(first)  # type: ignore[misc]
        if self.style == "bearpaw":
            return y + self.downsample(x)
        return y + self.shortcut(x if self.style == "meliketoy" else first)


class Group(nn.Module):
    """A group of blocks of xternalz: its blocks are in ``layer``."""

    def __init__(self, blocks: list[nn.Module]) -> None:
        super().__init__()
        self.layer = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x)
        return y


class PreActivationNet(nn.Module):
    """WideResNets (xternalz, meliketoy, hysts), PreResNet (bearpaw), PreActResNet (kuangliu)."""

    # style -> first convolution, groups, last batch normalisation, linear layer
    STYLES: ClassVar[dict[str, tuple[str, str, str | None, str]]] = {
        "xternalz": ("conv1", "block", "bn1", "fc"),
        "meliketoy": ("conv1", "layer", "bn1", "linear"),
        "hysts": ("conv", "stage", "bn", "fc"),
        "bearpaw": ("conv1", "layer", "bn", "fc"),
        "kuangliu": ("conv1", "layer", None, "linear"),
    }

    def __init__(self, style: str) -> None:
        super().__init__()
        self.style = style
        stem, group, norm, last = self.STYLES[style]
        widths = WIDTHS if style == "kuangliu" else (8, 16, 32)
        self.add_module(stem, conv(3, 4, bias=style == "meliketoy"))
        self.count = len(widths)
        for n, blocks in enumerate(
            chain(lambda a, b, s: PreActivationBlock(a, b, s, style), widths), 1
        ):
            whole: nn.Module = nn.Sequential(*blocks)
            if style == "xternalz":
                whole = Group(blocks)
            if style == "hysts":
                whole = nn.Sequential()
                for place, block in enumerate(blocks, start=1):
                    whole.add_module(f"block{place}", block)
            self.add_module(f"{group}{n}", whole)
        if norm:
            self.add_module(norm, nn.BatchNorm2d(widths[-1]))
        self.add_module(last, nn.Linear(widths[-1], 10))

    def forward(self, x: Tensor) -> Tensor:
        stem, group, norm, last = self.STYLES[self.style]
        x = getattr(self, stem)(x)
        for n in range(1, self.count + 1):
            x = getattr(self, f"{group}{n}")(x)
        x = relu(getattr(self, norm)(x)) if norm else x
        logits: Tensor = getattr(self, last)(F.adaptive_avg_pool2d(x, 1).flatten(1))
        return logits


class ListBlock(nn.Module):
    """preactresnet.py and wideresidual.py of weiaicunzai/pytorch-cifar100."""

    def __init__(self, inputs: int, width: int, stride: int, wide: bool) -> None:
        super().__init__()
        parts = [nn.BatchNorm2d(inputs), nn.ReLU(), conv(inputs, width, 3, stride, True)]
        parts += [nn.BatchNorm2d(width), nn.ReLU(), *([nn.Dropout()] if wide else [])]
        self.residual = nn.Sequential(*parts, conv(width, width, bias=True))
        self.shortcut: nn.Module = nn.Sequential()
        if stride > 1 or inputs != width:
            projection = conv(inputs, width, 1, stride, True)
            self.shortcut = nn.Sequential(projection) if wide else projection

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.residual(x) + self.shortcut(x)
        return y


class ListNet(nn.Module):
    """pre, stage1, ..., linear; or init_conv, conv2, ..., bn, linear, without a ReLU behind bn."""

    def __init__(self, wide: bool) -> None:
        super().__init__()
        self.wide = wide
        if wide:
            self.init_conv = conv(3, 4, bias=True)
            self.bn = nn.BatchNorm2d(32)
        else:
            self.pre = nn.Sequential(conv(3, 4, bias=True), nn.BatchNorm2d(4), nn.ReLU())
        widths = (8, 16, 32) if wide else WIDTHS
        self.groups = [
            nn.Sequential(*g) for g in chain(lambda a, b, s: ListBlock(a, b, s, wide), widths)
        ]
        for n, group in enumerate(self.groups):
            self.add_module(f"conv{n + 2}" if wide else f"stage{n + 1}", group)
        self.linear = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.init_conv(x) if self.wide else self.pre(x)
        for group in self.groups:
            x = group(x)
        x = self.bn(x) if self.wide else x
        logits: Tensor = self.linear(F.adaptive_avg_pool2d(x, 1).flatten(1))
        return logits


def torchvision(kind: type[BasicBlock | Bottleneck], **options: int) -> nn.Module:
    """Return a torchvision ResNet whose width is 64 channels, the only one that it can have."""
    return TorchvisionNet(kind, [1, 1, 1, 1], num_classes=10, **options)


# What it is -> the network.
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "akamaster": lambda: Net(free="padded-around"),
    "akamaster, option B": lambda: Net(),
    "biases beside batch normalisation": lambda: Net(free="padded-after", bias=True),
    "stacked": lambda: Net(free="stacked"),
    "average pooling": lambda: Net(4, free="pooled-after"),
    "average pooling, zeros around": lambda: Net(free="pooled-around"),
    "ResNet-D": lambda: Net(shortcut="downsample", pooled=True),
    "kuangliu": lambda: Net(4),
    "kuangliu, bottlenecks": lambda: Net(4, bottleneck=True),
    "kuangliu, pre-activation": lambda: PreActivationNet("kuangliu"),
    "chenyaofo": lambda: Net(3, ("conv1", "bn1", "layer", "fc"), shortcut="downsample"),
    "huyvnphan": lambda: Net(4, ("conv1", "bn1", "layer", "fc"), pool=True, shortcut="downsample"),
    "open_lth": lambda: Net(3, ("conv", "bn", "blocks", "fc")),
    "D-X-Y": LetteredNet,
    "weiaicunzai": FunctionNet,
    "weiaicunzai, pre-activation": lambda: ListNet(wide=False),
    "weiaicunzai, wide": lambda: ListNet(wide=True),
    "xternalz": lambda: PreActivationNet("xternalz"),
    "meliketoy": lambda: PreActivationNet("meliketoy"),
    "hysts": lambda: PreActivationNet("hysts"),
    "bearpaw, pre-activation": lambda: PreActivationNet("bearpaw"),
    "torchvision": lambda: torchvision(BasicBlock),
    "torchvision, groups": lambda: torchvision(Bottleneck, groups=4, width_per_group=8),
}


def build(name: str) -> nn.Module:
    """Return a network in evaluation mode, with statistics that differ from channel to channel."""
    torch.manual_seed(len(name))
    network = NETWORKS[name]().eval()
    with torch.no_grad():
        for key, tensor in network.state_dict().items():
            if key.endswith("running_var") or (key.endswith("weight") and tensor.dim() == 1):
                tensor.copy_(0.5 + torch.rand(tensor.shape))
            elif key.endswith("running_mean") or tensor.dim() == 1:
                tensor.copy_(torch.randn(tensor.shape) / 2)
        # Without a class that all pictures fall into.
        last = [part for part in network.modules() if isinstance(part, nn.Linear)][-1]
        last.bias -= network(torch.randn(64, 3, 16, 16)).mean(0)
    return network
