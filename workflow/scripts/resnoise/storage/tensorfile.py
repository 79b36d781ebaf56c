"""Files of named arrays with metadata and a digest; the arrays are memory-mapped.

The format is safetensors: plain data without code, readable from any framework. The header also
holds metadata as JSON and a SHA-256 of the metadata and of every array's name, type, shape and
bytes. It is checked whenever a file is read, so that an incomplete or edited file is never used.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from resnoise.errors import ResnoiseError, quoted
from resnoise.storage.files import atomic_path, check_regular

# The only entry of the header: safetensors writes several entries in an order that varies.
_KEY = "resnoise"
_DTYPES = {"U8": np.uint8, "I64": np.int64, "F32": np.float32, "F64": np.float64}


def save(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> str:
    """Write ``arrays`` and JSON-compatible ``metadata`` atomically; return the digest.

    The same content gives the same bytes, whatever the order of ``arrays``. Allowed types of arrays
    are uint8, int64, float32 and float64.

    Raises:
        ResnoiseError: an array has another type, or the system refuses to write.
    """
    # Not np.ascontiguousarray, which would make scalars one-dimensional.
    ordered = {name: np.asarray(arrays[name], order="C") for name in sorted(arrays)}
    for name, array in ordered.items():
        if array.dtype not in _DTYPES.values():
            raise ResnoiseError(f"{path}: array {name!r} has type {array.dtype}")
    digest = _digest(ordered, metadata)
    header = {"metadata": metadata, "sha256": digest}
    with atomic_path(path) as temporary:
        try:
            save_file(ordered, temporary, {_KEY: json.dumps(header, sort_keys=True)})
        except SafetensorError as error:  # for example a full disk
            raise ResnoiseError(f"{path}: cannot be written ({quoted(error)})") from error
    return digest


def load(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any], str]:
    """Return the arrays, the metadata and the digest of a file that ``save`` wrote.

    The arrays are memory-mapped copy-on-write: writing to them does not change the file.

    Raises:
        ResnoiseError: the file is missing, damaged or not written by ``save``, or does not match
            its digest.
    """
    check_regular(path)
    try:
        with safe_open(path, framework="numpy") as stream:
            text = (stream.metadata() or {}).get(_KEY)
    except FileNotFoundError as error:
        raise ResnoiseError(f"{path}: no such file") from error
    except (SafetensorError, OSError) as error:
        raise ResnoiseError(
            f"{path}: damaged, or not a safetensors file, delete it and rerun ({quoted(error)})"
        ) from error
    try:
        header = json.loads(text or "")
        metadata: dict[str, Any] = header["metadata"]
        expected: str = header["sha256"]
    except (ValueError, TypeError, KeyError) as error:
        raise ResnoiseError(
            f"{path}: a safetensors file, but not written by this project"
        ) from error
    arrays = _memory_map(path)
    digest = _digest(arrays, metadata)
    if digest != expected:
        raise ResnoiseError(
            f"{path}: content has SHA-256 {digest[:16]}..., its header says "
            f"{expected[:16]}...; the file was changed or damaged, delete it and rerun"
        )
    return arrays, metadata, digest


def _memory_map(path: Path) -> dict[str, np.ndarray]:
    """Return memory-mapped arrays of a file whose header safetensors has already validated."""
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
    """Return the SHA-256 of ``metadata`` and all arrays, in the order given."""
    state = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name, array in arrays.items():
        state.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        state.update(array.data)
    return state.hexdigest()
