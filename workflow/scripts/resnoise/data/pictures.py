"""Pictures as image files in a folder or a tar archive, one folder for each class.

The layout is ``train/<class>/<name>`` and ``test/<class>/<name>`` with PNG or JPEG files. Hidden
files and whatever lies beside train and test are ignored; in an archive, train and test may lie in
a common folder. Any other file among the pictures is an error, because it might be meant as one of
them.
"""

import io
import os
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from resnoise.data import archive
from resnoise.data.progress import counted
from resnoise.data.samples import Samples, check_size
from resnoise.errors import ResnoiseError

_PARTS = ("train", "test")
_SUFFIXES = (".png", ".jpg", ".jpeg")
_FORMATS = ("PNG", "JPEG")
# Others, e.g. 16 bits a channel or CMYK, have no unique 8-bit RGB equivalent.
_MODES = ("1", "L", "LA", "P", "RGB", "RGBA")
_SIZE_LIMIT = 16 << 20
# How a PNG file begins, and where in it the number of bits of a channel is.
_PNG, _PNG_DEPTH = b"\x89PNG", 24


class _Picture(NamedTuple):
    """A picture file or, with ``file_name`` None, just the folder of a class."""

    part: str
    class_name: str
    file_name: str | None
    read: Callable[[], bytes]

    def __str__(self) -> str:
        """Return the path below the folder or archive."""
        return f"{self.part}/{self.class_name}/{self.file_name or ''}"


def read(source: Path) -> Samples:
    """Read a folder or archive of pictures.

    Pictures are ordered by class and file name, classes by name, so that a folder and an archive of
    it give the same samples. Grey and palette pictures become RGB, transparency is dropped.

    Args:
        source: a folder, or a tar, tar.gz or tar.xz file.

    Returns:
        Samples whose class names are the names of the folders.

    Raises:
        ResnoiseError: the folder or archive is unreadable, damaged or unsafe, contains files that
            are not pictures, a picture cannot be decoded or has another size than the first, or
            there are no pictures.
    """
    pictures = _in_folder(source) if source.is_dir() else _in_archive(source)
    decoded: dict[tuple[str, str, str], NDArray[np.uint8]] = {}
    class_names = set()
    side = None
    for picture in counted(pictures, "decoded"):
        class_name = _name(picture.class_name, source)
        class_names.add(class_name)
        if picture.file_name is None:
            continue
        if not picture.file_name.lower().endswith(_SUFFIXES):
            raise ResnoiseError(
                f"{source}: {picture} is not a picture, allowed: {', '.join(_SUFFIXES)}"
            )
        key = (picture.part, class_name, picture.file_name)
        if key in decoded:
            raise ResnoiseError(f"{source}: {picture} appears twice")
        decoded[key] = _decode(picture.read(), f"{source}: {picture}", side)
        side = len(decoded[key])
    classes = sorted(class_names)
    keys = {part: sorted(key for key in decoded if key[0] == part) for part in _PARTS}
    for part in _PARTS:
        if not keys[part]:
            raise ResnoiseError(
                f"{source}: no pictures in {part}/, expected {part}/<class>/<name> with "
                f"{', '.join(_SUFFIXES)}"
            )
    number = {name: index for index, name in enumerate(classes)}
    images = {part: np.stack([decoded[key] for key in keys[part]]) for part in _PARTS}
    labels = {
        part: np.array([number[key[1]] for key in keys[part]], dtype=np.int64) for part in _PARTS
    }
    return Samples(
        train_images=images["train"],
        train_labels=labels["train"],
        test_images=images["test"],
        test_labels=labels["test"],
        class_names=tuple(classes),
    )


def _name(class_name: str, source: Path) -> str:
    """Return the name of a class as it is shown.

    Systems write letters with accents in one character or in two (NFC or NFD), and may do so
    differently for train and test: both are the same class.
    """
    try:
        class_name.encode()
    except UnicodeEncodeError as error:
        raise ResnoiseError(
            f"{source}: class {class_name!r}, allowed: names of folders in UTF-8"
        ) from error
    return unicodedata.normalize("NFC", class_name)


def _decode(content: bytes, where: str, side: int | None) -> NDArray[np.uint8]:
    """Return one picture as uint8 [side, side, 3]; ``side`` None allows any suitable one."""
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as picture:
            # Size and mode are in the header, so unsuitable pictures are never decoded.
            width, height = picture.size
            if side is None:
                check_size(where, width, height)
            elif picture.size != (side, side):
                raise ResnoiseError(
                    f"{where}: {width} x {height} pixels, the first picture has {side} x {side}"
                )
            if picture.mode not in _MODES:
                raise ResnoiseError(
                    f"{where}: colour mode {picture.mode}, allowed: {', '.join(_MODES)}"
                )
            # Pillow would cut colours of 16 bits to 8 without a word.
            if content.startswith(_PNG) and content[_PNG_DEPTH] > 8:
                raise ResnoiseError(f"{where}: {content[_PNG_DEPTH]} bits a channel, allowed: 8")
            return np.asarray(picture.convert("RGB"))
    except ResnoiseError:
        raise
    # For damaged pictures, decoders raise nearly every type of exception.
    except Exception as error:
        raise ResnoiseError(f"{where}: cannot be decoded as PNG or JPEG") from error


def _in_folder(folder: Path) -> Iterator[_Picture]:
    """Yield the classes' folders and files below a folder."""
    for part in _PARTS:
        for class_folder in _visible(folder / part):
            if not class_folder.is_dir():
                raise ResnoiseError(f"{folder}: {part}/{class_folder.name} is not a class's folder")
            yield _Picture(part, class_folder.name, None, bytes)
            for file in _visible(class_folder):
                yield _Picture(part, class_folder.name, file.name, _reader(file))


def _visible(folder: Path) -> list[Path]:
    """Return the sorted entries of a folder without hidden ones; none if it does not exist."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ResnoiseError(f"{folder}: cannot be read ({error.strerror})") from error
    return [folder / name for name in names]


def _reader(file: Path) -> Callable[[], bytes]:
    """Return a function that reads a file."""

    def read_file() -> bytes:
        try:
            return file.read_bytes()
        except OSError as error:
            raise ResnoiseError(f"{file}: cannot be read ({error.strerror})") from error

    return read_file


def _in_archive(source: Path) -> Iterator[_Picture]:
    """Yield the classes' folders and files of an archive, in stored order."""
    outer_folders = set()
    for member in archive.members(source, _SIZE_LIMIT):
        parts = member.parts
        if any(name.startswith(".") for name in parts):
            continue
        outer: tuple[str, ...] = ()
        if len(parts) > 1 and parts[0] not in _PARTS and parts[1] in _PARTS:
            outer, parts = parts[:1], parts[1:]
        if not parts or parts[0] not in _PARTS:
            continue
        outer_folders.add(outer)
        if len(outer_folders) > 1:
            raise ResnoiseError(f"{source}: {'/'.join(member.parts)} is a second set of pictures")
        if len(parts) == 2 and member.is_folder:
            yield _Picture(parts[0], parts[1], None, bytes)
        elif len(parts) == 3 and not member.is_folder:
            yield _Picture(*parts, member.read)
        elif len(parts) > 1:
            raise ResnoiseError(
                f"{source}: {'/'.join(member.parts)} is not laid out as {parts[0]}/<class>/<name>"
            )
