"""A printed summary of a network: layers, shapes, parameters, multiplications."""

from torch import nn

from resnoise.networks.layer_table import layers


def describe(network: nn.Module, height: int = 32, width: int = 32, in_channels: int = 3) -> str:
    """Return a table with one line for each layer that has parameters, in order of execution.

    Args:
        network: any network of this project, on the CPU.
        height: rows of an input picture.
        width: columns of an input picture.
        in_channels: channels of an input picture.
    """
    found = [layer for layer in layers(network, height, width, in_channels) if layer.name]
    rows = []
    for layer in found:
        picture = f" x {layer.out_height} x {layer.out_width}" if layer.kind != "Linear" else ""
        products = f"{layer.multiply_adds:,}" if layer.multiply_adds else ""
        output = f"{layer.out_channels}{picture}"
        rows.append((layer.name, layer.kind, output, f"{layer.parameters:,}", products))
    total = sum(p.numel() for p in network.parameters())
    products = f"{sum(layer.multiply_adds for layer in found):,}"
    rows.append(("total", "", "", f"{total:,}", products))
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
