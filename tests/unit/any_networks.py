"""Small networks of architectures that are not the project's own."""

import torch
from torch import Tensor, nn
from torchvision.models import DenseNet, MobileNetV2, VisionTransformer, vgg
from torchvision.models.mobilenetv2 import InvertedResidual


def small_vgg(classes: int = 3) -> nn.Module:
    """Two convolutions, each with batch normalisation, and pooling after each."""
    features = vgg.make_layers([4, "M", 8, "M"], batch_norm=True)
    net = vgg.VGG(features, num_classes=classes, init_weights=False)
    net.avgpool = nn.AdaptiveAvgPool2d(1)
    net.classifier = nn.Linear(8, classes)
    return ready(net)


def small_densenet(classes: int = 3) -> nn.Module:
    net = DenseNet(4, (2, 2), 8, bn_size=2, num_classes=classes)
    net.features.conv0 = nn.Conv2d(3, 8, 3, padding=1, bias=False)
    net.features.pool0 = nn.Identity()
    return ready(net)


def small_mobilenet(classes: int = 3) -> nn.Module:
    """Inverted residual blocks with depthwise convolutions."""
    settings = [[1, 8, 1, 1], [2, 8, 2, 2]]
    net = MobileNetV2(classes, 0.25, settings, block=InvertedResidual)
    net.features[0][0].stride = (1, 1)
    net.features[-1] = nn.Conv2d(8, 16, 1)
    net.classifier = nn.Linear(16, classes)
    return ready(net)


def small_vit(classes: int = 3) -> nn.Module:
    net = VisionTransformer(16, 8, 2, 2, 16, 24, num_classes=classes)
    return ready(net)


FAMILIES = {
    "vgg": small_vgg,
    "densenet": small_densenet,
    "mobilenet": small_mobilenet,
    "vit": small_vit,
}


def ready(net: nn.Module) -> nn.Module:
    """Return a network in evaluation mode with random weights and statistics, none of them 0."""
    numbers = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if "running_var" in name:
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=numbers))
            elif tensor.is_floating_point() and tensor.dim() > 1:
                fan = tensor[0].numel()
                tensor.copy_(torch.randn(tensor.shape, generator=numbers) * (2 / fan) ** 0.5)
            elif name.endswith("bias") or "running_mean" in name:
                tensor.copy_(0.1 * torch.randn(tensor.shape, generator=numbers))
    return net.eval()


def pictures(count: int, size: int = 16) -> Tensor:
    """Return [count, 3, size, size]."""
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))
