"""Read state dicts that others wrote with torch.save, and say in one line why one is refused.

Only tensors and plain containers are read from a file; code in it is never executed.
"""

import argparse
import contextlib
import logging
import pathlib
import pickle
import re
import struct
import zipfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy._core import multiarray
from safetensors import SafetensorError
from torch import Tensor

from resnoise.errors import ResnoiseError, quoted
from resnoise.storage.files import check_regular

_log = logging.getLogger(__name__)

# Keys under which training programs keep the weights, those that are usually measured first.
_WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "net_state_dict",
    "params",
    "weights",
    "ema",
    "ema_state_dict",
    "state_dict_ema",
    "model_ema",
)
_PREFIXES = ("module.", "model.", "net.", "network.", "_orig_mod.", "_fsdp_wrapped_module.")
# Types of plain data that training programs save beside the weights. Making one runs no code but
# its own, which only stores what it is given; pairs are names from before numpy 2.
_PLAIN = [
    argparse.Namespace,
    pathlib.PosixPath,
    pathlib.PurePosixPath,
    np.dtype,
    np.ndarray,
    *(getattr(np.dtypes, name) for name in np.dtypes.__all__),
    multiarray.scalar,
    multiarray._reconstruct,
    (multiarray.scalar, "numpy.core.multiarray.scalar"),
    (multiarray._reconstruct, "numpy.core.multiarray._reconstruct"),
]
_REFUSED_TYPE = re.compile(r"GLOBAL (\w+(?:\.\w+)*) (?:was|whose)")
# First bytes of files that are often saved in place of weights -> what they are.
_TEXTS = {
    b"version https://git-lfs": "a pointer of Git LFS and not the file itself; run git lfs pull",
    b"<": "a web page; download the file itself",
}

# A counter of batch normalisation that evaluation does not need and old files lack.
_COUNTER = "num_batches_tracked"
_VARIANCE = "running_var"

Weights = dict[str, Tensor]


def read_state_dict(
    path: Path, rename: Mapping[str, str | None] | None = None, known: Collection[str] = ()
) -> Weights:
    """Read the tensors of a state dict, with names as those of a network that is not wrapped.

    The state dict may be inside dictionaries with a key such as "state_dict". Prefixes of wrapped
    networks, such as "module.", are removed from the names.

    Args:
        path: file of torch.save or safetensors.
        rename: beginnings of names, with or without the prefixes of wrapped networks -> what to
            put in their place; None leaves these tensors out.
        known: names that are left as they are, even if they begin like those of wrapped networks.

    Raises:
        ResnoiseError: the file is missing, damaged or not a state dict, holds objects that are not
            plain data, holds two tensors of the same name, or one without values of its own
            (sparse, quantised, or without data); or a beginning in ``rename`` is that of no name.
    """
    content = _content(path)
    while isinstance(content, Mapping):
        inner = [key for key in _WRAPPERS if isinstance(content.get(key), Mapping)]
        if not inner:
            break
        if len(inner) > 1:
            _log.warning("%s: holds %s; %s is measured", path, " and ".join(inner), inner[0])
        content = content[inner[0]]
    if not isinstance(content, Mapping) or not content:
        raise ResnoiseError(f"{path}: holds a {type(content).__name__}, needed: a state dict")
    rename = rename or {}
    unused = set(rename)
    weights: Weights = {}
    original: dict[str, str] = {}
    for key, value in content.items():
        if isinstance(key, str) and isinstance(value, np.generic | int | float | str | None):
            continue  # an epoch or a name beside the tensors
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise ResnoiseError(
                f"{path}: {key!r} is a {type(value).__name__}, needed: a state dict of tensors, "
                f"by itself or under one of the keys {', '.join(_WRAPPERS)}"
            )
        name = _renamed(key, rename, unused, known)
        if name is None:
            continue
        if value.layout != torch.strided or value.is_meta or value.is_quantized:
            raise ResnoiseError(
                f"{path}: {key} is sparse, quantised or without data, needed: a usual tensor"
            )
        if name in weights:
            raise ResnoiseError(
                f"{path}: holds both {original[name]!r} and {key!r}, which are the same weights "
                f"({name}); keep one of them"
            )
        weights[name], original[name] = value, key
    if unused:
        raise ResnoiseError(
            f"rename: {sorted(unused)[0]!r} given, allowed: the beginning of a name in {path}, "
            f"such as {', '.join([*content][:3])}"
        )
    if not weights:
        raise ResnoiseError(
            f"{path}: holds no tensors, needed: a state dict, by itself or under one of the keys "
            f"{', '.join(_WRAPPERS)}"
        )
    return weights


def fit(
    weights: Weights,
    expected: Mapping[str, Tensor],
    path: Path,
    original: Callable[[str], str] = str,
) -> Weights:
    """Return the weights with the names and types of the state dict ``expected``.

    Args:
        weights: the weights.
        expected: a state dict of the wanted names, shapes and types.
        path: their file.
        original: returns the name of a tensor in the file, if it is another one.

    Raises:
        ResnoiseError: a key is missing, unexpected or of another shape, or its values are not
            finite real numbers, or negative where they are variances; the message names the first
            such key.
    """
    fitted: Weights = {}
    for name, tensor in expected.items():
        known = original(name)
        if name not in weights:
            if name.endswith(_COUNTER):
                fitted[name] = torch.zeros(tensor.shape, dtype=tensor.dtype)
                continue
            raise ResnoiseError(f"{path}: missing key {known!r}, of shape {tuple(tensor.shape)}")
        found = weights[name]
        if found.shape != tensor.shape:
            raise ResnoiseError(
                f"{path}: {known} has shape {tuple(found.shape)}, needed: {tuple(tensor.shape)}"
            )
        # Checked in the type in which it is measured: float64 holds numbers that float32 does not.
        fitted[name] = own = found.to(tensor.dtype)
        if name.endswith(_COUNTER):
            continue
        if not (found.is_floating_point() and bool(own.isfinite().all())):
            raise ResnoiseError(
                f"{path}: {known} has values that are not finite real numbers in {tensor.dtype}"
            )
        if name.endswith(_VARIANCE) and bool((own < 0).any()):
            raise ResnoiseError(f"{path}: {known} has values below 0, which no variance has")
    for name in weights:
        if name not in expected:
            raise ResnoiseError(f"{path}: unexpected key {original(name)!r}")
    return fitted


def _renamed(
    key: str, rename: Mapping[str, str | None], unused: set[str], known: Collection[str]
) -> str | None:
    """Return the name of a tensor without prefixes and renamed; None to leave it out."""
    plain = key
    while plain not in known and plain.startswith(_PREFIXES):
        plain = plain[plain.index(".") + 1 :]
    # The longest beginning that fits, as it is the most exact one.
    for beginning in sorted(rename, key=len, reverse=True):
        for name in (key, plain):
            if name.startswith(beginning):
                unused.discard(beginning)
                put = rename[beginning]
                return None if put is None else put + name.removeprefix(beginning)
    return plain


def _content(path: Path) -> Any:
    """Return what torch.save wrote."""
    check_regular(path)
    try:
        with path.open("rb") as stream:
            start = stream.read(512)
    except FileNotFoundError as error:
        raise ResnoiseError(f"{path}: no such file") from error
    except OSError as error:
        raise ResnoiseError(f"{path}: cannot be read ({error.strerror})") from error
    for text, what in _TEXTS.items():
        if start.lstrip().startswith(text):
            raise ResnoiseError(f"{path}: {what}")
    if path.suffix == ".safetensors" or _is_safetensors(path, start):
        try:
            return safetensors.torch.load_file(path)
        except SafetensorError as error:
            raise ResnoiseError(
                f"{path}: a safetensors file that is damaged or not complete ({quoted(error)}); "
                "copy it again"
            ) from error
    _check_archive(path)
    try:
        with torch.serialization.safe_globals(_PLAIN):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if refused := _REFUSED_TYPE.search(str(error)):
            raise ResnoiseError(
                f"{path}: holds an object of type {refused[1]}, allowed: tensors and plain data "
                "(code is never executed); where the program that wrote it runs, save the weights "
                "alone with torch.save(network.state_dict(), ...)"
            ) from error
        raise _not_weights(path) from error
    except MemoryError as error:
        raise ResnoiseError(f"{path}: more memory is needed to read it than there is") from error
    # PyTorch parses the bytes as if they were its own, and fails in any way with those of others.
    except Exception as error:
        raise _not_weights(path) from error


def _check_archive(path: Path) -> None:
    """Compare the parts of a file with their checksums, which PyTorch itself does not do.

    Files of PyTorch before 1.6 have no checksums.
    """
    damaged: str | None = None
    script = False
    # What is no archive at all, or an unreadable one, PyTorch refuses itself.
    with contextlib.suppress(Exception), zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
        script = any(name.endswith("/constants.pkl") for name in archive.namelist())
    if script:
        raise ResnoiseError(
            f"{path}: a TorchScript archive, which is code (and never executed); save the weights "
            "alone with torch.save(torch.jit.load(...).state_dict(), ...)"
        )
    if damaged:
        raise ResnoiseError(f"{path}: damaged, the checksum of its part {damaged} is wrong")


def _is_safetensors(path: Path, start: bytes) -> bool:
    """Return whether a file begins as safetensors do: the length of a header, and the header."""
    return (
        len(start) > 9
        and start[8:9] == b"{"
        and struct.unpack("<Q", start[:8])[0] <= path.stat().st_size
    )


def _not_weights(path: Path) -> ResnoiseError:
    return ResnoiseError(
        f"{path}: damaged, or not written by torch.save; copy it again, or save it with "
        "torch.save(network.state_dict(), ...)"
    )
