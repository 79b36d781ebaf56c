"""Reading folders and archives of image files."""

import contextlib
import io
import os
import random
import struct
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from resnoise.data import pictures
from resnoise.data.samples import check
from resnoise.errors import ResnoiseError

CLASSES = ("five", "four", "three")


def encode(array: np.ndarray, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, kind)
    return stream.getvalue()


def digit_files() -> dict[str, bytes]:
    """Return the first digits 3, 4 and 5 of scikit-learn as grey 8 x 8 PNG files by path."""
    digits = load_digits()
    files = {}
    for name, label in (("three", 3), ("four", 4), ("five", 5)):
        for index, number in enumerate(np.flatnonzero(digits.target == label)[:6]):
            part = "train" if index < 4 else "test"
            picture = (digits.images[number] * 15).astype(np.uint8)
            files[f"{part}/{name}/{index:02}.png"] = encode(picture)
    return files


FILES = digit_files()


def write_folder(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def write_archive(path: Path, files: dict[str, bytes], folders=(), mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as tar:
        for name in folders:
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE
            tar.addfile(info)
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture(params=["folder", "archive"])
def write(request: pytest.FixtureRequest, tmp_path: Path):
    """Return a function that writes files as a folder or an archive and returns its path."""
    if request.param == "folder":
        return lambda files: write_folder(tmp_path / "pictures", files)
    return lambda files: write_archive(tmp_path / "pictures.tar.gz", files)


def refused(path: Path) -> str:
    """Return the message with which pictures are refused, and check that it is one line."""
    before = sorted(path.parent.iterdir())
    with pytest.raises(ResnoiseError) as error:
        check(pictures.read(path), str(path))
    message = str(error.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert sorted(path.parent.iterdir()) == before
    return message


def test_pictures_are_read_in_order_of_class_and_name(write) -> None:
    shuffled = list(FILES.items())
    random.Random(1).shuffle(shuffled)
    samples = pictures.read(write(dict(shuffled)))
    check(samples, "pictures")
    assert samples.class_names == CLASSES
    assert samples.train_labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert samples.test_labels.tolist() == [0] * 2 + [1] * 2 + [2] * 2
    for part, (images, _) in samples.parts().items():
        names = sorted(name for name in FILES if name.startswith(part))
        assert len(images) == len(names)
        for image, name in zip(images, names, strict=True):
            expected = np.asarray(Image.open(io.BytesIO(FILES[name])))
            assert np.array_equal(image, np.stack([expected] * 3, axis=-1))


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
@pytest.mark.parametrize("outer", ["", "./", "digits/", "./digits/"])
def test_archive_gives_the_same_as_the_folder(tmp_path: Path, mode: str, outer: str) -> None:
    folder = pictures.read(write_folder(tmp_path / "folder", FILES))
    backwards = {outer + name: content for name, content in reversed(FILES.items())}
    path = write_archive(tmp_path / "archive", backwards, mode=mode)
    archive = pictures.read(path)
    for part, (images, labels) in folder.parts().items():
        assert np.array_equal(archive.parts()[part][0], images)
        assert np.array_equal(archive.parts()[part][1], labels)
    assert archive.class_names == folder.class_names


def test_hidden_files_and_what_lies_beside_are_ignored(write) -> None:
    beside = {
        "README.md": b"text",
        ".DS_Store": b"x",
        "train/.DS_Store": b"x",
        "train/four/.DS_Store": b"x",
        "train/four/._00.png": b"x",
        "train/.cache/1.png": b"x",
        "validation/four/1.png": b"x",
    }
    samples = pictures.read(write(FILES | beside))
    assert samples.class_names == CLASSES
    assert len(samples.train_labels) == 12


def test_links_in_a_folder_are_followed(tmp_path: Path) -> None:
    real = write_folder(tmp_path / "real", FILES)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "train").symlink_to(real / "train")
    (tmp_path / "linked" / "test").mkdir()
    for name in CLASSES:
        (tmp_path / "linked" / "test" / name).symlink_to(real / "test" / name)
    samples = pictures.read(tmp_path / "linked")
    assert np.array_equal(samples.test_images, pictures.read(real).test_images)


RGB = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
RGBA = np.concatenate([RGB, np.full((8, 8, 1), 100, np.uint8)], axis=-1)
GREY = RGB[..., 0]


def palette() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(RGB).quantize(64).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (encode(RGB), RGB),
        (encode(RGBA), RGB),
        (encode(GREY), np.stack([GREY] * 3, axis=-1)),
        (encode(RGBA[..., 2:]), np.stack([RGB[..., 2]] * 3, axis=-1)),
        (encode(GREY > 99), np.stack([np.where(GREY > 99, 255, 0)] * 3, axis=-1)),
        (palette(), RGB),
    ],
    ids=["RGB", "RGBA", "grey", "grey and alpha", "one bit", "palette"],
)
def test_colour_modes_become_rgb(write, content: bytes, expected: np.ndarray) -> None:
    samples = pictures.read(write(FILES | {"train/five/00.png": content}))
    difference = samples.train_images[0].astype(int) - expected
    # 64 colours are enough for 64 pixels, apart from the quantisation's rounding.
    assert np.abs(difference).max() <= (8 if content == palette() else 0)


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "JPG"])
def test_jpeg_is_read(write, suffix: str) -> None:
    flat = np.full((8, 8, 3), (200, 100, 50), dtype=np.uint8)
    name = f"train/five/000.{suffix}"
    image = pictures.read(write(FILES | {name: encode(flat, "JPEG")})).train_images
    sixth = sorted([*(f for f in FILES if f.startswith("train/five")), name]).index(name)
    assert np.abs(image[sixth].astype(int) - flat).max() < 4


LARGE = np.zeros((16, 16), dtype=np.uint8)
DEEP = np.zeros((8, 8), dtype=np.uint16)
BROKEN = bytearray(encode(np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)))
BROKEN[60] ^= 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("test/four/9.png", b"", "test/four/9.png: cannot be decoded as PNG or JPEG"),
        ("test/four/9.jpg", b"rubbish", "test/four/9.jpg: cannot be decoded as PNG or JPEG"),
        ("train/four/9.png", encode(GREY)[:-30], "train/four/9.png: cannot be decoded"),
        ("train/four/9.png", bytes(BROKEN), "train/four/9.png: cannot be decoded"),
        ("train/four/9.jpg", encode(RGB, "JPEG")[:-60], "train/four/9.jpg: cannot be decoded"),
        ("train/four/9.png", encode(GREY, "BMP"), "train/four/9.png: cannot be decoded"),
        ("train/four/9.png", encode(LARGE), "9.png: 16 x 16 pixels, the first picture has 8 x 8"),
        ("train/four/9.png", encode(LARGE[:8]), "9.png: 16 x 8 pixels, the first picture has 8 x"),
        ("train/four/9.png", encode(DEEP), "train/four/9.png: colour mode I;16, allowed: 1, L"),
        ("train/four/9.gif", encode(GREY, "GIF"), "train/four/9.gif is not a picture, allowed:"),
        ("train/four/Thumbs.db", b"x", "train/four/Thumbs.db is not a picture, allowed: .png,"),
    ],
)
def test_bad_pictures_are_named(write, name: str, content: bytes, message: str) -> None:
    assert message in refused(write(FILES | {name: content}))


def test_colours_of_16_bits_are_refused(write) -> None:
    """Pillow would cut them to 8 bits; it cannot write them either."""
    header = struct.pack(">2I5B", 8, 8, 16, 2, 0, 0, 0)
    rows = zlib.compress(bytes(8 * (1 + 8 * 6)))

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    deep = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )
    with Image.open(io.BytesIO(deep)) as picture:
        assert picture.mode == "RGB"
    with pytest.raises(ResnoiseError, match=r"train/five/00.png: 16 bits a channel, allowed: 8"):
        pictures.read(write({**FILES, "train/five/00.png": deep}))


def test_names_of_classes_in_one_or_two_characters_are_the_same(write) -> None:
    names = {"train/five": "train/caf\u00e9", "test/five": "test/cafe\u0301"}
    files = {}
    for name, content in FILES.items():
        folder = name.rpartition("/")[0]
        files[name.replace(folder, names.get(folder, folder))] = content
    found = pictures.read(write(files))
    assert found.class_names == ("caf\u00e9", "four", "three")
    check(found, "both")


def test_names_of_classes_that_are_no_text_are_refused(write) -> None:
    files = {name.replace("/five/", "/f\udce9ve/"): content for name, content in FILES.items()}
    with pytest.raises(
        ResnoiseError, match=r"class 'f\\udce9ve', allowed: names of folders in UTF-8"
    ):
        pictures.read(write(files))


PAX = {
    "a size that is no number": {"size": "many"},
    "a negative size": {"size": "-5"},
    "a huge size": {"size": str(2**70)},
    "a time that is no number": {"mtime": "yesterday"},
    "a sparse map of nothing": {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"},
    "a sparse map that is no map": {"GNU.sparse.map": "a,b", "GNU.sparse.size": "9"},
    "a sparse size that is none": {"GNU.sparse.size": "x", "GNU.sparse.numblocks": "y"},
    "a name with a zero": {"path": "train/five/\0.png"},
    "another encoding": {"hdrcharset": "BINARY", "path": "train/\udcff/1.png"},
}


@pytest.mark.parametrize("kind", PAX)
def test_made_up_headers_of_archives_end_in_one_line(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "archive.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in FILES.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            if name.endswith("five/01.png"):
                info.pax_headers = PAX[kind]
            tar.addfile(info, io.BytesIO(content))
    with contextlib.suppress(ResnoiseError):
        pictures.read(path)


def test_damaged_headers_end_in_one_line(tmp_path: Path) -> None:
    whole = bytearray(write_archive(tmp_path / "whole.tar", FILES, mode="w").read_bytes())
    numbers = random.Random(0)
    for _ in range(200):
        damaged = bytearray(whole)
        block = 512 * numbers.randrange(len(whole) // 512)
        for _ in range(numbers.randrange(1, 6)):
            damaged[block + numbers.randrange(512)] = numbers.randrange(256)
        # The checksum of a header that someone has made up is right.
        total = sum(damaged[block : block + 512]) - sum(damaged[block + 148 : block + 156]) + 8 * 32
        damaged[block + 148 : block + 156] = b"%06o\0 " % total
        (tmp_path / "damaged.tar").write_bytes(damaged)
        with contextlib.suppress(ResnoiseError):
            pictures.read(tmp_path / "damaged.tar")


@pytest.mark.parametrize(
    ("shape", "message"),
    [((8, 12), "12 x 8 pixels, needed are squares"), ((10, 10), "10 x 10 pixels, needed are")],
)
def test_unsuitable_first_picture_is_named(write, shape: tuple[int, int], message: str) -> None:
    files = {name: encode(np.zeros(shape, dtype=np.uint8)) for name in FILES}
    path = write(files)
    first = next(iter(FILES)) if path.is_file() else "train/five/00.png"
    assert f"{first}: {message}" in refused(path)


def test_size_is_checked_without_decoding(write) -> None:
    # A valid header that announces 10^8 pixels, followed by nothing to decode.
    header = bytearray(encode(GREY)[:33])
    header[16:24] = (10_000).to_bytes(4, "big") * 2
    header[29:33] = zlib.crc32(header[12:29]).to_bytes(4, "big")
    path = write(FILES | {"train/four/9.png": bytes(header) + encode(GREY)[33:]})
    with pytest.warns(Image.DecompressionBombWarning):
        assert "9.png: 10000 x 10000 pixels, the first" in refused(path)


@pytest.mark.parametrize(("part", "counts"), [("test", (4, 0)), ("train", (0, 2))])
def test_class_missing_in_one_part_is_named(write, part: str, counts: tuple[int, int]) -> None:
    files = {name: FILES[name] for name in FILES if not name.startswith(f"{part}/four/")}
    expected = f"class 'four' has {counts[0]} pictures in train and {counts[1]} in test"
    assert expected in refused(write(files))


@pytest.mark.parametrize("empty", ["train/nine", "test/nine"])
def test_empty_class_is_named(tmp_path: Path, empty: str) -> None:
    expected = "class 'nine' has 0 pictures in train and 0 in test"
    folder = write_folder(tmp_path / "folder", FILES)
    (folder / empty).mkdir()
    assert expected in refused(folder)
    assert expected in refused(write_archive(tmp_path / "archive.tar", FILES, [empty]))


@pytest.mark.parametrize("part", ["train", "test"])
def test_missing_part_is_named(write, part: str) -> None:
    files = {name: FILES[name] for name in FILES if not name.startswith(part)}
    assert f"no pictures in {part}/, expected {part}/<class>/<name>" in refused(write(files))


def test_empty_folder_and_archive_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert "no pictures in train/" in refused(tmp_path / "folder")
    assert "no pictures in train/" in refused(write_archive(tmp_path / "archive.tar", {}))


def test_one_class_is_refused(write) -> None:
    files = {name: FILES[name] for name in FILES if "/four/" in name}
    assert "classes ['four'], needed are two or more different" in refused(write(files))


def test_file_outside_of_a_class_is_refused(write) -> None:
    message = refused(write(FILES | {"train/0.png": encode(GREY)}))
    assert "train/0.png is not" in message


def test_deeper_folders_are_refused(write) -> None:
    message = refused(write(FILES | {"train/four/more/0.png": encode(GREY)}))
    assert "train/four/more" in message
    assert "is not" in message


def test_unreadable_picture_is_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder", FILES)
    (folder / "train" / "four" / "9.png").symlink_to("nowhere")
    assert "train/four/9.png: cannot be read (No such file" in refused(folder)


def test_two_sets_of_pictures_are_refused(tmp_path: Path) -> None:
    files = FILES | {"other/train/four/00.png": encode(GREY)}
    path = write_archive(tmp_path / "archive.tar", files)
    assert "other/train/four/00.png is a second set of pictures" in refused(path)


def test_picture_twice_is_refused(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "archive.tar", FILES, mode="w")
    with tarfile.open(path, "a") as tar:
        info = tarfile.TarInfo("./train/four/00.png")
        info.size = len(encode(GREY))
        tar.addfile(info, io.BytesIO(encode(GREY)))
    assert "train/four/00.png appears twice" in refused(path)


def test_too_large_file_in_archive_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "_SIZE_LIMIT", 10)
    path = write_archive(tmp_path / "archive.tar", FILES)
    assert "bytes, allowed: 10" in refused(path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.BLKTYPE])
def test_links_and_devices_in_archives_are_refused(tmp_path: Path, kind: bytes) -> None:
    path = write_archive(tmp_path / "archive.tar", FILES, mode="w")
    with tarfile.open(path, "a") as tar:
        info = tarfile.TarInfo("train/four/9.png")
        info.type, info.linkname = kind, os.devnull
        tar.addfile(info)
    assert "member 'train/four/9.png' is a link or device" in refused(path)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_truncated_archive_is_refused(tmp_path: Path, mode: str) -> None:
    path = write_archive(tmp_path / "archive", FILES, mode=mode)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "damaged, incomplete, or not a tar" in refused(path)
