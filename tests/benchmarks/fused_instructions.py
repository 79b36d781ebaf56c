"""How many instructions a step by fused Triton kernels takes, found without a card.

    python tests/benchmarks/fused_instructions.py --network residual-20

Compiles the kernels of a step for a card (NVIDIA's Hopper; Triton brings the compiler) and counts
the instructions of the machine code. Prints for each kernel and shape its launches in a step,
programs, registers, shared memory, and microseconds that issuing the instructions takes at least:
all multiprocessors busy, no wait for memory. This is a bound from below, not a measurement, but it
shows what an edit of a kernel saves.
"""

import argparse
import collections
import re
import subprocess
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
import triton
from training_speed import BATCH
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from resnoise import devices
from resnoise.native import fused, fused_kernels
from resnoise.networks.simplified import build

TARGET = GPUTarget("cuda", 90, 32)
TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
# Multiprocessors of an H100, instructions that each issues in a cycle, cycles in a microsecond.
SLOTS = 132 * 4 * 1755
TYPES = {torch.float32: "*fp32", torch.int64: "*i64", torch.int32: "*i32"}


class Launch(NamedTuple):
    """A launch that was recorded instead of being made."""

    name: str
    programs: int
    values: tuple[tuple[str, Any], ...]
    warps: int


def launches(architecture: str, depth: int, batch: int, pixels: int) -> list[Launch]:
    """Return the launches of a step, in their order."""
    found: list[Launch] = []

    def recorder(name: str, kernel: Any) -> Any:
        class Recorder:
            def __getitem__(self, grid: tuple[int, ...]) -> Any:
                def launch(*values: Any, num_warps: int = 4) -> None:
                    named = zip(kernel.arg_names, values, strict=True)
                    plain = tuple((k, v.dtype if torch.is_tensor(v) else v) for k, v in named)
                    found.append(Launch(name, int(torch.tensor(grid).prod()), plain, num_warps))

                return launch

        return Recorder()

    names = ("convolve", "input_gradient", "weight_gradient", "add_parts", "classify")
    recorders = {name: recorder(name, getattr(fused_kernels, name)) for name in names}
    network = build(depth, 16, 10, 3, architecture == "residual")
    devices.place(network, torch.device("cpu"), "float32")
    images = torch.zeros(batch, 3, pixels, pixels).contiguous(memory_format=torch.channels_last)
    with patch.object(fused, "kernels", SimpleNamespace(**recorders)):
        fused.backend(network, 1).loss_and_gradients(images, torch.zeros(batch, dtype=torch.int64))
    return found


def compiled(launch: Launch) -> Any:
    """Return the kernel of a launch, compiled for the card."""
    kernel = getattr(fused_kernels, launch.name)
    constants = {p.name for p in kernel.params if p.is_constexpr}
    signature = {
        name: "constexpr" if name in constants else TYPES.get(value, "i32")
        for name, value in launch.values
    }
    attributes = {
        (number,): [["tt.divisibility", 16]]
        for number, (name, value) in enumerate(launch.values)
        if name not in constants and (value in TYPES or value % 16 == 0)
    }
    source = ASTSource(
        fn=kernel,
        signature=signature,
        constexprs={name: value for name, value in launch.values if name in constants},
        attrs=attributes,
    )
    return triton.compile(source, target=TARGET, options={"num_warps": launch.warps})


def run(tool: str, *options: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a tool that Triton brings."""
    return subprocess.run([TOOLS / tool, *options], capture_output=True, text=True, check=True)


def instructions(kernel: Any, rounds: float) -> tuple[float, str]:
    """Return how many instructions a warp executes, and in words what else the code says.

    Args:
        kernel: the compiled kernel.
        rounds: how often loops are gone through.
    """
    with tempfile.TemporaryDirectory() as folder:
        ptx, binary = Path(folder) / "kernel.ptx", Path(folder) / "kernel.cubin"
        ptx.write_text(kernel.asm["ptx"])
        binary.write_bytes(kernel.asm["cubin"])
        said = run("ptxas", "-v", "--gpu-name=sm_90a", ptx, "-o", "/dev/null").stderr
        code = run("nvdisasm", "-c", binary).stdout
    places: dict[str, int] = {}
    targets: list[str | None] = []
    for line in code.splitlines():
        if label := re.match(r"\s*(\.L_\w+):", line):
            places[label[1]] = len(targets)
        elif operation := re.match(r"\s*/\*[0-9a-f]+\*/\s+(?:@!?U?P\d+\s+)?(\S+)(.*);", line):
            target = re.search(r"`\((\.L_\w+)\)", operation[2])
            is_branch = operation[1].startswith("BRA")
            if not operation[1].startswith("NOP"):
                targets.append(target[1] if is_branch and target else None)
    inside = sum(
        end - places[target] + 1
        for end, target in enumerate(targets)
        if target is not None and places.get(target, end) < end
    )
    registers = re.search(r"Used (\d+) registers", said)
    spilled = re.search(r"(\d+) bytes spill stores", said)
    words = f"{registers[1] if registers else '?':>4} registers"
    words += f", {spilled[1]} bytes spilled" if spilled and spilled[1] != "0" else ""
    return len(targets) + inside * (rounds - 1), words


def rounds(launch: Launch) -> float:
    """Return how often a program of a launch goes through its loop."""
    values: dict[str, Any] = dict(launch.values)
    if launch.name == "convolve":
        return 3 if values["LINES"] else float(9 * values["C"] / values["R"])
    if launch.name == "input_gradient":
        # 1, 2, 2 and 4 taps for pixels in even and odd lines and columns.
        return float(9 / 4 * values["K"] / values["R"])
    return float(values["each"] / values["M"]) if launch.name == "weight_gradient" else 1


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="residual-20", help="(residual-20)")
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--pixels", type=int, default=32, help="side of the pictures")
    arguments = parser.parse_args()
    architecture, _, depth = arguments.network.rpartition("-")
    counts = collections.Counter(
        launches(architecture, int(depth), arguments.batch, arguments.pixels)
    )
    total = 0.0
    for launch, count in counts.items():
        kernel = compiled(launch)
        number, words = instructions(kernel, rounds(launch))
        each = number * launch.warps * launch.programs / SLOTS
        total += each * count
        values = dict(launch.values)
        shape = " ".join(f"{values.get(key, '-')!s:>3}" for key in ("H", "C", "K", "S"))
        print(
            f"{count:2} x {launch.name:16} H C K S {shape}  {launch.programs:5} programs of "
            f"{launch.warps} warps, {words}, {kernel.metadata.shared / 1024:4.0f} KiB shared, "
            f"{each:6.2f} us",
            flush=True,
        )
    print(f"{len([*counts.elements()])} launches, at least {total:.0f} us a step")


if __name__ == "__main__":
    main()
