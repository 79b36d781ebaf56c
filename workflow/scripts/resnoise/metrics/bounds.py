"""What generalisation bounds need of each layer: norms of its weights, sensitivity of the logits.

All norms are those of the equal plain network: where an identity connection runs across a layer,
the ones of its ID entries belong to the weights (T, section 3 of the paper). So a residual network
and its plain twin, which are the same function, have the same norms, and plain and residual
networks are measured on one footing. In section 5, the paper's layer cushions leave the ones out of
``||W||_F``: that norm is in a column of its own. Biases are left out, as in the theorems, which
know none; fully-fledged networks are measured without batch normalisation, and without identity
connections, which run across two layers there.

Of the map from x, the output of layer i after its ReLU, to the logits, with Jacobian J at x, there
are (Arora et al. 2018, section 5)

- the interlayer cushion ``sqrt(h w) ||J x|| / (||J||_F ||x||)`` (definition 8). The theorem takes x
  before the ReLU; section 5 of the paper takes it after, and so does
  ``resnoise.metrics.interlayer_cushion``, whose spans end at blocks and not at the logits;
- how well the Jacobian is distributed over the h w positions of x (definition 7): the smallest beta
  with ``||J_ab||_F <= beta / sqrt(h w) ||J||_F`` for the part of J at each position. It is 1 if all
  positions count alike.

``resnoise.summaries.bounds`` combines these numbers to bounds.
"""

import contextlib
import math
from collections.abc import Callable

import pandas as pd
import torch
from torch import Tensor, nn

from resnoise.metrics.layers import Layer, Stage, norms, stages
from resnoise.metrics.operators import operator
from resnoise.metrics.resumable import choose_samples
from resnoise.networks.transfer import kernel_to_plain
from resnoise.trained.run import TrainedRun

# Pictures whose Jacobians are computed at once.
_BATCH = 25
COLUMNS = (
    *("snapshot", "pictures", "layer", "name", "weights", "kernel", "stride", "outputs"),
    *("weight_norm", "transferred_norm", "distance"),
    *("spectral_norm", "frobenius_norm", "row_distance", "path_norm"),
    *("logit_cushion", "jacobian_spread", "largest_output"),
)


def measure(
    run: TrainedRun, device: torch.device, *, samples: int, sample_seed: int
) -> pd.DataFrame:
    """Return a row for every layer after training; none if the run diverged.

    Columns: snapshot ("final"), pictures (number of training pictures); layer (number from 1),
    name; weights (their number), kernel and
    stride (1 for the linear layer), outputs (channels, or classes); ``weight_norm`` and
    ``transferred_norm``, the Frobenius norms of the weights without and with the ones of ID
    entries; ``distance``, the Frobenius norm of the difference from the initial weights. Of the
    matrix that maps the layer's input to its output: ``spectral_norm``, ``frobenius_norm``, and
    ``row_distance``, the sum of the 2-norms of the rows of its difference from the initial one.
    ``path_norm``: square root of the sum, over all paths from an input to an output of this layer,
    of the product of the squared weights; empty in fully-fledged networks. ``logit_cushion`` and
    ``jacobian_spread`` (beta): smallest and largest value over the pictures, empty for the linear
    layer; ``largest_output``: the largest norm of the layer's response. These three are empty where
    the layer is not the last one of its block, or if nothing reaches the logits. Layers of other
    kinds than convolutions and linear layers, as in dominant-path networks, have no rows.

    Args:
        run: the run.
        device: where to compute.
        samples: number of training pictures for the Jacobians.
        sample_seed: decides which.

    Raises:
        ResnoiseError: the training set has fewer pictures.
    """
    chosen = choose_samples(len(run.dataset.train_images), samples, sample_seed)
    pictures = torch.from_numpy(run.dataset.train_images[chosen]).to(device)
    for label in run.usable(every_snapshot=False):
        network = run.network(label, device).double()
        start = run.network("initial", device).double()
        inputs = run.normalisation(device)(pictures).double()
        table = weight_norms(network, start, inputs[:1]).join(sensitivity(network, inputs))
        table = table.assign(snapshot=label, pictures=len(run.dataset.train_images))
        return table.reset_index()[list(COLUMNS)]
    return pd.DataFrame(columns=list(COLUMNS))


@torch.no_grad()
def weight_norms(network: nn.Module, start: nn.Module, one: Tensor) -> pd.DataFrame:
    """Return the norms of all layers: the columns of ``measure`` about weights, by layer.

    Args:
        network: in float64.
        start: the same with the initial weights.
        one: inputs of one picture, [1, C, H, W].
    """
    parts = stages(network)
    found = [layer for stage in parts for layer in stage.layers]
    initial = [layer for stage in stages(start) for layer in stage.layers]
    shapes = _input_shapes(network, found, one)
    chain = all(len(stage.layers) == 1 for stage in parts)
    paths = torch.ones_like(one)
    rows = []
    for layer, before, shape in zip(found, initial, shapes, strict=True):
        weight, old = _plain_weight(layer), _plain_weight(before)
        matrix = operator(layer.module, weight, shape)
        moved = operator(layer.module, weight - old, shape)
        if isinstance(layer.module, nn.Linear):
            # Average pooling is a map with weights too: one by the number of positions.
            paths = paths.flatten(2).sum(2) / (paths[0, 0].numel() ** 2)
        if chain:
            squared = operator(layer.module, weight.square(), shape)
            paths = squared.apply(paths)
        kernel, stride = 1, 1
        if isinstance(layer.module, nn.Conv2d):
            kernel, stride = layer.module.kernel_size[0], layer.module.stride[0]
        rows.append(
            {
                "layer": layer.number,
                "name": layer.name,
                "weights": weight.numel(),
                "kernel": kernel,
                "stride": stride,
                "outputs": len(weight),
                "weight_norm": layer.weight_norm(),
                "transferred_norm": layer.transferred_norm(),
                "distance": float(torch.linalg.vector_norm(weight - old)),
                "spectral_norm": matrix.spectral_norm(),
                "frobenius_norm": matrix.frobenius_norm(),
                "row_distance": float(moved.row_norms().sum()),
                "path_norm": math.sqrt(float(paths.sum())) if chain else math.nan,
            }
        )
    return pd.DataFrame(rows).set_index("layer")


def sensitivity(network: nn.Module, inputs: Tensor) -> pd.DataFrame:
    """Return logit_cushion, jacobian_spread and largest_output (see ``measure``), by layer.

    Args:
        network: in evaluation mode.
        inputs: [B, C, H, W].
    """
    parts = stages(network)
    found = [_sensitivity(parts, batch) for batch in torch.split(inputs, _BATCH)]
    cushions, spreads, outputs = (torch.cat(values) for values in zip(*found, strict=True))
    # A picture of which nothing reaches the logits bounds nothing.
    smallest = cushions.nan_to_num(torch.inf).amin(0).tolist()
    largest = spreads.nan_to_num(-torch.inf).amax(0).tolist()
    table = pd.DataFrame(
        {
            "layer": [stage.number if stage.layers else 0 for stage in parts],
            "logit_cushion": [*smallest, math.nan],
            "jacobian_spread": [*largest, math.nan],
            "largest_output": outputs.amax(0).tolist(),
        }
    )
    # Blocks with layers of other kinds have no number.
    known = table[table["layer"] > 0].set_index("layer")
    return known.replace([math.inf, -math.inf], math.nan)


def _sensitivity(parts: list[Stage], inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return cushions and spreads [B, stages - 1] and norms of responses [B, stages]."""
    points: list[Tensor] = []
    sizes = []
    x = inputs
    for stage in parts:
        response = stage.response(x)
        sizes.append(norms(response.detach()))
        x = torch.relu(response)
        if not points:
            # Nothing before the first point is differentiated.
            x = x.detach().requires_grad_()
        points.append(x)
    points.pop()
    logits = response
    squares = [torch.zeros_like(point[:, 0]) for point in points]
    images = [torch.zeros(len(inputs), dtype=torch.float64).to(inputs) for _ in points]
    for number in range(logits.shape[1]):
        rows = torch.autograd.grad(logits[:, number].sum(), points, retain_graph=True)
        for square, image, row, point in zip(squares, images, rows, points, strict=True):
            square += row.square().sum(1)
            image += (row * point.detach()).flatten(1).sum(1).square()
    cushions, spreads = [], []
    for square, image, point in zip(squares, images, points, strict=True):
        positions = square[0].numel()
        total = square.flatten(1).sum(1)
        scale = total.sqrt() * norms(point.detach())
        cushions.append((positions * image).sqrt() / scale)
        spreads.append((positions * square.flatten(1).amax(1) / total).sqrt())
    return torch.stack(cushions, 1), torch.stack(spreads, 1), torch.stack(sizes, 1)


def _plain_weight(layer: Layer) -> Tensor:
    """Return a layer's weights with the ones of the ID entries, if there are any."""
    weight = layer.module.weight.detach().double()
    return kernel_to_plain(weight) if layer.identity else weight


def _input_shapes(network: nn.Module, found: list[Layer], one: Tensor) -> list[tuple[int, ...]]:
    """Return the shape of the input of each layer for one picture."""
    shapes: dict[int, tuple[int, ...]] = {}

    def see(layer: Layer) -> Callable[..., None]:
        return lambda _module, arguments: shapes.update(
            {layer.number: tuple(arguments[0].shape[1:])}
        )

    with contextlib.ExitStack() as hooks:
        for layer in found:
            hooks.enter_context(layer.module.register_forward_pre_hook(see(layer)))
        network(one)
    return [shapes[layer.number] for layer in found]
