"""Devices, threads and precision. Only this module sets PyTorch's global switches."""

import contextlib
import dataclasses
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils import deterministic

from resnoise.errors import ResnoiseError

# Precision -> type of the weights. bfloat16 means autocast: weights, gradients and the optimiser's
# state stay in float32.
WEIGHT_DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "bfloat16": torch.float32,
}


@dataclasses.dataclass(frozen=True)
class Computing:
    """The device, threads and memory that a measurement may use, and the digest of its code.

    Attributes:
        device: "auto" (CUDA if available, else CPU), "cpu" or "cuda".
        threads: number of CPU threads for one operation.
        memory_mb: memory for activations in megabytes.
        code: digest of the measurement's code. An interrupted measurement is continued only if
            this digest has not changed.
    """

    device: str = "auto"
    threads: int = 1
    memory_mb: int = 500
    code: str = ""

    def set_up(self, allow_tf32: bool = False) -> torch.device:
        """Set up this process (see ``set_up``) and return the device to compute on."""
        return set_up(self.device, self.threads, allow_tf32)


def set_up(device: str, threads: int, allow_tf32: bool = False) -> torch.device:
    """Set threads and determinism for this process and return the device to compute on.

    With the same device, number of threads and PyTorch version, results are the same to the last
    bit: on CUDA only deterministic algorithms are allowed, cuDNN does not choose algorithms by
    timing them, and float32 products are not rounded to TF32 unless ``allow_tf32`` is set.

    Args:
        device: "auto" (CUDA if available, else CPU), "cpu" or "cuda".
        threads: number of CPU threads for one operation.
        allow_tf32: let CUDA round the factors of float32 products to TF32.

    Raises:
        ResnoiseError: there is no CUDA device, but "cuda" was asked for, or "auto" in a job that
            was given a card: the CPU would take days while the card waits.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise ResnoiseError(f"device: {device!r} given, allowed: auto, cpu, cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise ResnoiseError(
            "device: 'cuda' given, but PyTorch finds no CUDA device; use auto or cpu"
        )
    card = os.environ.get("CUDA_VISIBLE_DEVICES", "").strip()
    # Numbers, or names such as GPU-8932f937; -1 and Slurm's NoDevFiles, say, are no card.
    given = card[:1].isdigit() or card.startswith(("GPU-", "MIG-"))
    if device == "auto" and given and not torch.cuda.is_available():
        raise ResnoiseError(
            f"device: 'auto' given, and CUDA_VISIBLE_DEVICES gives this job the card {card}, but "
            "PyTorch finds no CUDA device; use cpu to compute without it"
        )
    torch.set_num_threads(threads)
    if device == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    # cuBLAS reads this when it starts; without it, deterministic mode refuses matrix products.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    # Otherwise deterministic mode fills each new tensor before it is written, with one more launch
    # for each operation. Nothing here reads what it has not written.
    deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = allow_tf32
    return torch.device("cuda")


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """Let CUDA round no factor of a float32 product to TF32, as it does by default."""
    switches: tuple[Any, ...] = torch.backends.cudnn, torch.backends.cuda.matmul
    before = [switch.allow_tf32 for switch in switches]
    try:
        for switch in switches:
            switch.allow_tf32 = False
        yield
    finally:
        for switch, allowed in zip(switches, before, strict=True):
            switch.allow_tf32 = allowed


def place(network: nn.Module, device: torch.device, precision: str) -> nn.Module:
    """Move ``network`` to a device, with weights of the type for ``precision``, channels last."""
    network = network.to(device=device, dtype=WEIGHT_DTYPES[precision])
    return network.to(memory_format=torch.channels_last)


def name(device: torch.device) -> str:
    """Return the model name of the processor or GPU behind ``device``."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
