"""Facts about the environment that made a result: host, processor, versions."""

import datetime
import importlib.metadata
import platform
import socket
from typing import Any

import torch

from resnoise import devices

_PACKAGES = ("torch", "numpy", "safetensors")


def describe_environment(device: torch.device, threads: int) -> dict[str, Any]:
    """Return JSON-compatible facts about this process, for a run's record."""
    return {
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "host": socket.gethostname(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "device": device.type,
        "processor": devices.name(device),
        "threads": threads,
    }
