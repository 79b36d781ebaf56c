"""Named arrays in one file that memory-maps and checks itself.

The format is safetensors: plain data without code, readable from any framework. On top of it the
header carries JSON metadata and a SHA-256 over the metadata and every array's name, type, shape and
bytes. Every reader checks it, so that a torn or edited file is never used.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from resnoise.errors import ResnoiseError
from resnoise.storage.files import atomic_path

# One entry only: safetensors writes several in an order that differs from run to run.
_KEY = "resnoise"
_DTYPES = {"U8": np.uint8, "I64": np.int64, "F32": np.float32, "F64": np.float64}


def save(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> str:
    """Write ``arrays`` and JSON-like ``metadata`` atomically; return the digest.

    The same content gives the same bytes, whatever the order of ``arrays``. Types: uint8, int64,
    float32 and float64.

    Raises:
        ResnoiseError: an array has another type, or the system refuses to write.
    """
    # Not ascontiguousarray, which would give scalars a dimension.
    ordered = {name: np.asarray(arrays[name], order="C") for name in sorted(arrays)}
    for name, array in ordered.items():
        if array.dtype not in _DTYPES.values():
            raise ResnoiseError(f"{path}: array {name!r} has type {array.dtype}")
    digest = _digest(ordered, metadata)
    header = {"metadata": metadata, "sha256": digest}
    with atomic_path(path) as temporary:
        try:
            save_file(ordered, temporary, {_KEY: json.dumps(header, sort_keys=True)})
        except SafetensorError as error:  # a full disk, for one
            raise ResnoiseError(f"{path}: cannot be written ({error})") from error
    return digest


def load(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any], str]:
    """Return the arrays, the metadata and the digest of a file that ``save`` wrote.

    The arrays are memory-mapped copy-on-write: nothing is read before it is used, and writing to
    them never reaches the file.

    Raises:
        ResnoiseError: the file is missing, torn, foreign, or does not match its digest.
    """
    try:
        with safe_open(path, framework="numpy") as stream:
            text = (stream.metadata() or {}).get(_KEY)
    except FileNotFoundError as error:
        raise ResnoiseError(f"{path}: no such file") from error
    except (SafetensorError, OSError) as error:
        raise ResnoiseError(
            f"{path}: damaged, or not a safetensors file, delete it and rerun ({error})"
        ) from error
    try:
        header = json.loads(text or "")
        metadata: dict[str, Any] = header["metadata"]
        expected: str = header["sha256"]
    except (ValueError, TypeError, KeyError) as error:
        raise ResnoiseError(f"{path}: a safetensors file, but not one of this project's") from error
    arrays = _memory_map(path)
    digest = _digest(arrays, metadata)
    if digest != expected:
        raise ResnoiseError(
            f"{path}: content has SHA-256 {digest[:16]}..., its header says "
            f"{expected[:16]}...; the file was changed or damaged, delete it and rerun"
        )
    return arrays, metadata, digest


def _memory_map(path: Path) -> dict[str, np.ndarray]:
    """Return views of the arrays of a file whose header safetensors has already validated."""
    mapped = np.memmap(path, dtype=np.uint8, mode="c")
    header_size = int.from_bytes(mapped[:8].tobytes(), "little")
    header = json.loads(mapped[8 : 8 + header_size].tobytes())
    body = mapped[8 + header_size :]
    arrays = {}
    for name in sorted(header.keys() - {"__metadata__"}):
        begin, end = header[name]["data_offsets"]
        dtype = _DTYPES.get(header[name]["dtype"])
        if dtype is None:
            raise ResnoiseError(f"{path}: array {name!r} has type {header[name]['dtype']}")
        arrays[name] = body[begin:end].view(dtype).reshape(header[name]["shape"])
    return arrays


def _digest(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> str:
    """Return the SHA-256 of ``metadata`` and all arrays in the order given."""
    state = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name, array in arrays.items():
        state.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        state.update(array.data)
    return state.hexdigest()
