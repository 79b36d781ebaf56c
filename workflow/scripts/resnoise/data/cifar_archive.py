"""CIFAR-10 as its authors distribute it: ``cifar-10-python.tar.gz``, an archive of pickles.

Loading a pickle can run any code. These are therefore read by an unpickler that knows nothing but
arrays of bytes: the few names that NumPy's pickles refer to are replaced by stand-ins in this
module, never by NumPy or anything else. So NumPy's renamed modules and its warnings about pickles
of Python 2 do not matter either.
"""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnoise.data import archive
from resnoise.data.samples import Samples
from resnoise.errors import ResnoiseError, quoted

_FOLDER = "cifar-10-batches-py"
_TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
_TEST = "test_batch"
_META = "batches.meta"
_SIDE = 32
_ROW = 3 * _SIDE * _SIDE
# The original's largest member has 31 MB.
_SIZE_LIMIT = 128 << 20


def read(source: Path) -> Samples:
    """Read an archive that is laid out like ``cifar-10-python.tar.gz``.

    The training pictures come in the order of data_batch_1 to data_batch_5.

    Args:
        source: a tar, tar.gz or tar.xz file.

    Returns:
        Samples with pictures of 32 x 32 pixels.

    Raises:
        ResnoiseError: the archive is unreadable, damaged or unsafe, a member is missing, or does
            not contain what it should.
    """
    contents: dict[str, dict[str, Any]] = {}
    wanted = {_META, *_TRAIN, _TEST}
    for member in archive.members(source, _SIZE_LIMIT):
        if member.is_folder or len(member.parts) != 2 or member.parts[0] != _FOLDER:
            continue
        name = member.parts[1]
        if name in contents:
            raise ResnoiseError(f"{source}: member {_FOLDER}/{name} appears twice")
        if name in wanted:
            contents[name] = _unpickle(member.read(), f"{source}: {_FOLDER}/{name}")
    missing = sorted(wanted - contents.keys())
    if missing:
        raise ResnoiseError(f"{source}: has no member {_FOLDER}/{missing[0]}")
    class_names = _class_names(contents[_META], f"{source}: {_FOLDER}/{_META}")
    batches = {
        name: _batch(contents[name], len(class_names), f"{source}: {_FOLDER}/{name}")
        for name in (*_TRAIN, _TEST)
    }
    return Samples(
        train_images=np.concatenate([batches[name][0] for name in _TRAIN]),
        train_labels=np.concatenate([batches[name][1] for name in _TRAIN]),
        test_images=batches[_TEST][0],
        test_labels=batches[_TEST][1],
        class_names=class_names,
    )


def _class_names(meta: dict[str, Any], where: str) -> tuple[str, ...]:
    """Return the names of the classes in the dictionary of batches.meta."""
    names = meta.get("label_names")
    if not isinstance(names, list) or not all(isinstance(name, str | bytes) for name in names):
        raise ResnoiseError(f"{where}: label_names is not a list of names")
    return tuple(_text(name) for name in names)


def _batch(
    batch: dict[str, Any], classes: int, where: str
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the pictures, uint8 [n, 32, 32, 3], and labels, int64 [n], of one batch."""
    stored, labels = batch.get("data"), batch.get("labels")
    if not isinstance(stored, _Array) or stored.content.shape[1:] != (_ROW,):
        found = stored.content.shape if isinstance(stored, _Array) else type(stored).__name__
        raise ResnoiseError(f"{where}: data is {found}, allowed: a uint8 array (n, {_ROW})")
    rows = stored.content
    if not isinstance(labels, list) or len(labels) != len(rows):
        raise ResnoiseError(f"{where}: labels is not a list of {len(rows)} labels")
    for label in labels:
        # bool is an int to Python, but not a label.
        if type(label) is not int or not 0 <= label < classes:
            raise ResnoiseError(f"{where}: label {label!r}, allowed: 0 to {classes - 1}")
    # A row holds the red, then the green, then the blue picture.
    planes = rows.reshape(-1, 3, _SIDE, _SIDE)
    images = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
    return images, np.array(labels, dtype=np.int64)


def _unpickle(content: bytes, where: str) -> dict[str, Any]:
    """Return a pickled dictionary with its keys as str, executing nothing."""
    try:
        # Strings of Python 2 are read as bytes: they hold pixels as well as names.
        value = _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:  # Damaged pickles raise nearly every type of exception.
        raise ResnoiseError(f"{where}: not a CIFAR pickle ({quoted(error)})") from error
    if not isinstance(value, dict) or not all(isinstance(key, str | bytes) for key in value):
        raise ResnoiseError(f"{where}: holds no dictionary with names as keys")
    return {_text(key): item for key, item in value.items()}


def _text(name: str | bytes) -> str:
    """Return a name as str; pickles of Python 2 have it as bytes."""
    return name if isinstance(name, str) else name.decode("utf-8", "backslashreplace")


class _Unpickler(pickle.Unpickler):
    """Unpickler of built-in types and byte arrays only."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for a name; UnpicklingError if there is none."""
        # NumPy 2 renamed numpy.core to numpy._core.
        found = _STAND_INS.get((module.replace("numpy._core", "numpy.core"), name))
        if found is None:
            raise pickle.UnpicklingError(
                f"refers to {module}.{name}, allowed: NumPy arrays of bytes only"
            )
        return found


class _Array:
    """Stands for ``numpy.ndarray``, which a pickle creates empty before it sets its state."""

    content: NDArray[np.uint8]

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, shape, dtype, is_fortran, raw = state
        self._set(raw, dtype, shape, "F" if is_fortran else "C")

    def _set(self, raw: Any, dtype: Any, shape: Any, order: Any) -> None:
        if not isinstance(dtype, _Dtype):
            raise pickle.UnpicklingError("an array without a type")
        self.content = np.frombuffer(raw, dtype=np.uint8).reshape(shape, order=order)


class _Dtype:
    """Stands for ``numpy.dtype``; only uint8 can be made."""

    def __init__(self, name: str | bytes, _align: Any, _copy: Any) -> None:
        if _text(name) != "u1":
            raise pickle.UnpicklingError(f"an array of type {_text(name)!r}, allowed: 'u1'")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Ignore the state, which is a byte order: single bytes have none."""


def _reconstruct(_kind: Any, _shape: Any, _code: Any) -> _Array:
    """Stand for the function that creates an empty array."""
    return _Array()


def _frombuffer(raw: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    """Stand for the function that creates a complete array (protocol 5)."""
    array = _Array()
    array._set(raw, dtype, shape, order)
    return array


def _encode(text: str, encoding: str) -> bytes:
    """Stand for ``codecs.encode``, with which Python 3 writes bytes in protocol 2."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes encoded as {encoding!r}")
    return text.encode("latin1")


_STAND_INS = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.numeric", "_frombuffer"): _frombuffer,
    ("_codecs", "encode"): _encode,
}
