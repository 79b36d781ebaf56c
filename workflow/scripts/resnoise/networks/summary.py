"""A printed summary of a network: layers, shapes, parameters, multiplications."""

import torch
from torch import Tensor, nn


def describe(network: nn.Module, height: int = 32, width: int = 32, in_channels: int = 3) -> str:
    """Return a table with one line for each layer that has parameters, in order of execution.

    Args:
        network: any network of this project, on the CPU.
        height: rows of an input picture.
        width: columns of an input picture.
        in_channels: channels of an input picture.
    """
    rows: list[tuple[str, str, str, str, str]] = []
    macs_total = 0
    names = {module: name for name, module in network.named_modules()}

    def record(module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal macs_total
        parameters = list(module.parameters(recurse=False))
        # Each entry of a kernel is used once for each pixel of the output.
        weights = sum(p.numel() for p in parameters if p.dim() > 1)
        macs = weights * output.shape[2:].numel()
        macs_total += macs
        rows.append(
            (
                names[module],
                type(module).__name__,
                " x ".join(str(size) for size in output.shape[1:]),
                f"{sum(p.numel() for p in parameters):,}",
                f"{macs:,}" if macs else "",
            )
        )

    leaves = [m for m in network.modules() if list(m.parameters(recurse=False))]
    hooks = [leaf.register_forward_hook(record) for leaf in leaves]
    was_training = network.training
    try:
        parameter = next(network.parameters())
        network.eval()
        with torch.no_grad():
            network(torch.zeros(1, in_channels, height, width, dtype=parameter.dtype))
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    total = sum(p.numel() for p in network.parameters())
    rows.append(("total", "", "", f"{total:,}", f"{macs_total:,}"))
    return _table(("layer", "kind", "output", "parameters", "multiply-adds"), rows)


def _table(header: tuple[str, ...], rows: list[tuple[str, str, str, str, str]]) -> str:
    """Return ``rows`` under ``header``: text columns to the left, numbers to the right."""
    lines = [header, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.rjust(size) if i >= 3 else cell.ljust(size)
            for i, (cell, size) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
