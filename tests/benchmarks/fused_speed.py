"""Steps by fused Triton kernels against steps by PyTorch, both replayed from a CUDA graph.

    python tests/benchmarks/fused_speed.py

Prints for plain and residual networks the relative error of the fused gradients against float64 on
the CPU, and milliseconds of a step with mini-batches of 128, as medians of alternating rounds.
Needs a card; the kernels are compiled first, which takes seconds for each shape.
"""

import argparse
import time

import torch
from card_speed import network_run, steps
from training_speed import BATCH, alternate, pictures

from resnoise import devices
from resnoise.training.run import Run


def fused_run(architecture: str, depth: int, batches: int, device: torch.device) -> Run:
    """Return a run whose steps are computed by fused kernels and replayed."""
    run = network_run(architecture, depth, pictures(batches), device, True, "triton")
    assert run.backend.name == "triton"
    return run


def gradient_error(run: Run) -> float:
    """Return ||found - right|| / ||right|| of all gradients, right ones in float64 on the CPU."""
    inputs, labels = next(run.batches.epoch(1))
    # As many as are needed for the kernels of whole mini-batches.
    inputs, labels = inputs[:64], torch.zeros_like(labels[:64])
    run.backend.loss_and_gradients(inputs, labels)
    gradients = [p.grad.double().cpu().flatten() for p in run.network.parameters()]
    spec = run.spec.network
    cpu = torch.device("cpu")
    exact = network_run(spec.architecture, spec.depth, pictures(1), cpu, False).network.double()
    exact.load_state_dict(run.network.state_dict())
    output = exact(inputs.double().cpu())
    torch.nn.functional.cross_entropy(output, labels.cpu()).backward()
    right = torch.cat([p.grad.flatten() for p in exact.parameters()])
    return float((torch.cat(gradients) - right).norm() / right.norm())


def main() -> None:
    """Read the command line and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depths", type=int, nargs="*", default=[20, 44])
    parser.add_argument("--batches", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    device = devices.set_up("cuda", 4)
    print(f"PyTorch {torch.__version__}, {devices.name(device)}, mini-batches of {BATCH}")
    for depth in arguments.depths:
        for architecture in ("plain", "residual"):
            start = time.perf_counter()
            fused = fused_run(architecture, depth, arguments.batches, device)
            error = gradient_error(fused)
            steps(fused)()
            compiled = time.perf_counter() - start
            usual = network_run(architecture, depth, pictures(arguments.batches), device, True)
            seconds = alternate({"fused": steps(fused), "graph": steps(usual)}, arguments.rounds)
            one, two = (1000 * seconds[name] / arguments.batches for name in ("fused", "graph"))
            print(
                f"{architecture}-{depth}: gradient error {error:.1e}, fused {one:.3f} ms, "
                f"PyTorch {two:.3f} ms, {two / one:.2f}x, compiled and warm in {compiled:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
