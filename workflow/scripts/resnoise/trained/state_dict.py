"""Read state dicts that others wrote with torch.save, and say in one line why one is refused.

Only tensors and plain containers are read from a file; code in it is never executed.
"""

import contextlib
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from resnoise.errors import ResnoiseError
from resnoise.storage.files import check_regular

_WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
_PREFIXES = ("module.", "_orig_mod.")
_REFUSED_TYPE = re.compile(r"GLOBAL (\w+(?:\.\w+)+)")
# First bytes of files that are often saved in place of weights -> what they are.
_TEXTS = {
    b"version https://git-lfs": "a pointer of Git LFS and not the file itself; run git lfs pull",
    b"<": "a web page; download the file itself",
}

Weights = dict[str, Tensor]


def read_state_dict(path: Path) -> Weights:
    """Read the tensors of a state dict and bring their names into a common form.

    As ``read_tensors``, and ``linear`` is renamed to ``fc``.

    Raises:
        ResnoiseError: as ``read_tensors``.
    """
    return read_tensors(path, {"linear.": "fc."})


def read_tensors(path: Path, renamed: Mapping[str, str] | None = None) -> Weights:
    """Read the tensors of a state dict.

    The state dict may be inside a dictionary with a key such as "state_dict". Prefixes of wrapped
    networks, such as "module.", are removed from the names.

    Args:
        path: the file.
        renamed: beginning of a name -> what to replace it with.

    Raises:
        ResnoiseError: the file is missing, damaged or not a state dict, holds more than tensors
            and plain containers, holds two tensors of the same name, or one without values of its
            own (sparse, quantised, or without data).
    """
    content = _content(path)
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not content:
        raise ResnoiseError(f"{path}: holds a {type(content).__name__}, needed: a state dict")
    weights: Weights = {}
    original: dict[str, str] = {}
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise ResnoiseError(
                f"{path}: {key!r} is a {type(value).__name__}, needed: a state dict of tensors, "
                f"by itself or under one of the keys {', '.join(_WRAPPERS)}"
            )
        if value.layout != torch.strided or value.is_meta or value.is_quantized:
            raise ResnoiseError(
                f"{path}: {key} is sparse, quantised or without data, needed: a usual tensor"
            )
        name = key
        while name.startswith(_PREFIXES):
            name = name[name.index(".") + 1 :]
        for old, new in (renamed or {}).items():
            if name.startswith(old):
                name = new + name.removeprefix(old)
        if name in weights:
            raise ResnoiseError(
                f"{path}: holds both {original[name]!r} and {key!r}, which are the same weights "
                f"({name}); keep one of them"
            )
        weights[name], original[name] = value, key
    return weights


def _content(path: Path) -> Any:
    """Return what torch.save wrote."""
    check_regular(path)
    try:
        with path.open("rb") as stream:
            start = stream.read(512).lstrip()
    except FileNotFoundError as error:
        raise ResnoiseError(f"{path}: no such file") from error
    except OSError as error:
        raise ResnoiseError(f"{path}: cannot be read ({error.strerror})") from error
    for text, what in _TEXTS.items():
        if start.startswith(text):
            raise ResnoiseError(f"{path}: {what}")
    _check_archive(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if refused := _REFUSED_TYPE.search(str(error)):
            raise ResnoiseError(
                f"{path}: holds an object of type {refused[1]}, allowed: tensors and plain "
                "containers (code is never executed); save it with "
                "torch.save(network.state_dict(), ...)"
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
    # What is no archive at all, or an unreadable one, PyTorch refuses itself.
    with contextlib.suppress(Exception), zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged:
        raise ResnoiseError(f"{path}: damaged, the checksum of its part {damaged} is wrong")


def _not_weights(path: Path) -> ResnoiseError:
    return ResnoiseError(
        f"{path}: damaged, or not written by torch.save; copy it again, or save it with "
        "torch.save(network.state_dict(), ...)"
    )
