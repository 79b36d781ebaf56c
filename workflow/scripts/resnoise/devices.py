"""Devices, threads and number formats: the only place that sets PyTorch's global switches."""

import dataclasses
import os
import platform
from pathlib import Path

import torch
from torch import nn

from resnoise.errors import ResnoiseError

# bfloat16 means autocast: weights, gradients and the optimiser stay in float32.
WEIGHT_DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "bfloat16": torch.float32,
}


@dataclasses.dataclass(frozen=True)
class Computing:
    """Where a measurement computes, and with what.

    Attributes:
        device: "auto" (CUDA where there is one, else CPU), "cpu" or "cuda".
        threads: threads of a CPU operation.
        memory_mb: budget for activations in megabytes.
        code: digest of the program; a measurement that other code began is not continued.
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

    With the same device, threads and PyTorch version the same bits come out of every run: on CUDA
    only deterministic algorithms are allowed, cuDNN does not choose by timing, and float32 means
    float32 unless ``allow_tf32``.

    Args:
        device: "auto" (CUDA where there is one, else CPU), "cpu" or "cuda".
        threads: threads of a CPU operation.
        allow_tf32: let CUDA round float32 factors to TF32.

    Raises:
        ResnoiseError: "cuda" was asked for and there is none.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise ResnoiseError(f"device: {device!r} given, allowed: auto, cpu, cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise ResnoiseError(
            "device: 'cuda' given, but PyTorch finds no CUDA device; use auto or cpu"
        )
    torch.set_num_threads(threads)
    if device == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    # cuBLAS reads this when it starts; without it, deterministic mode refuses matrix products.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = allow_tf32
    return torch.device("cuda")


def place(network: nn.Module, device: torch.device, precision: str) -> nn.Module:
    """Return ``network`` on ``device`` in the weights' type of ``precision``, channels last."""
    network = network.to(device=device, dtype=WEIGHT_DTYPES[precision])
    return network.to(memory_format=torch.channels_last)


def name(device: torch.device) -> str:
    """Return what a person calls the processor or the GPU behind ``device``."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
