"""Array files: exact round trips, the same bytes, and refusal of everything damaged."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from safetensors.numpy import load_file, save_file

from resnoise.errors import ResnoiseError
from resnoise.storage import tensorfile

Arrays = dict[str, np.ndarray]

ANY_ARRAY = st.sampled_from(["u1", "i8", "f4", "f8"]).flatmap(
    lambda kind: arrays(np.dtype(kind), array_shapes(min_dims=0, max_dims=4, min_side=0))
)
ANY_NAME = st.text("abc./_0é \n", min_size=1, max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
SMALL: Arrays = {
    "weights": np.arange(6, dtype=np.float32).reshape(2, 3),
    "count": np.array(7),
    "pixels": np.arange(5, dtype=np.uint8),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "arrays.safetensors"


def same(one: Arrays, two: Arrays) -> bool:
    """Return whether names, types, shapes and bytes are equal."""
    return one.keys() == two.keys() and all(
        (a.dtype, a.shape, a.tobytes()) == (two[name].dtype, two[name].shape, two[name].tobytes())
        for name, a in one.items()
    )


@given(
    content=st.dictionaries(ANY_NAME, ANY_ARRAY, max_size=4),
    metadata=st.dictionaries(st.text(), JSON, max_size=3),
)
def test_what_is_saved_is_loaded_to_the_bit(
    tmp_path_factory: pytest.TempPathFactory, content: Arrays, metadata: dict[str, Any]
) -> None:
    file = tmp_path_factory.mktemp("arrays") / "arrays.safetensors"
    digest = tensorfile.save(file, content, metadata)
    found, found_metadata, found_digest = tensorfile.load(file)
    assert same(found, content)
    assert found_metadata == metadata
    assert found_digest == digest


@pytest.mark.parametrize(
    "array",
    [
        np.array(3.5),
        np.array(2, dtype=np.uint8),
        np.zeros(0, np.float32),
        np.zeros((3, 0, 2), np.int64),
        np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1),
        np.arange(10, dtype=np.float32)[::2],
        np.array([np.nan, -0.0, np.inf, 5e-324]),
    ],
    ids=["0-d", "0-d byte", "empty", "empty 3-d", "transposed", "strided", "special numbers"],
)
def test_unusual_arrays_come_back(file: Path, array: np.ndarray) -> None:
    tensorfile.save(file, {"a": array, "byte": np.array([1], dtype=np.uint8)}, {})
    assert same({"a": tensorfile.load(file)[0]["a"]}, {"a": array})


def test_the_same_content_gives_the_same_bytes(file: Path) -> None:
    written = set()
    for turn in range(20):
        names = sorted(SMALL, reverse=turn % 2 == 0)
        content = {name: SMALL[name] for name in names}
        content["weights"] = np.asfortranarray(content["weights"])
        metadata = {"b": 1, "a": [2]} if turn % 3 else {"a": [2], "b": 1}
        tensorfile.save(file, content, metadata)
        written.add(file.read_bytes())
    assert len(written) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {**SMALL, "count": np.array(8)},
        {**SMALL, "count": np.array([7])},
        {**SMALL, "count": np.array(7.0)},
        {**SMALL, "weights": SMALL["weights"].reshape(3, 2)},
        {**SMALL, "more": np.zeros(0)},
        {("w" if name == "weights" else name): array for name, array in SMALL.items()},
    ],
    ids=["value", "shape", "type", "order of axes", "empty array", "name"],
)
def test_any_change_of_the_content_changes_the_digest(file: Path, changed: Arrays) -> None:
    assert tensorfile.save(file, changed, {"a": 1}) != tensorfile.save(file, SMALL, {"a": 1})


def test_a_change_of_the_metadata_changes_the_digest(file: Path) -> None:
    assert tensorfile.save(file, SMALL, {"a": 1}) != tensorfile.save(file, SMALL, {"a": 2})


def test_other_programs_read_the_file(file: Path) -> None:
    tensorfile.save(file, SMALL, {"a": 1})
    assert same(load_file(file), SMALL)


def test_writing_to_a_loaded_array_never_reaches_the_file(file: Path) -> None:
    tensorfile.save(file, SMALL, {})
    before = file.read_bytes()
    loaded, _, _ = tensorfile.load(file)
    assert isinstance(loaded["weights"], np.memmap)
    loaded["weights"][:] = -1
    loaded["count"][()] = -1
    loaded["weights"].flush()
    assert file.read_bytes() == before
    assert same(tensorfile.load(file)[0], SMALL)


def test_loaded_arrays_outlive_the_replacement_of_their_file(file: Path) -> None:
    tensorfile.save(file, SMALL, {})
    loaded, _, _ = tensorfile.load(file)
    tensorfile.save(file, {name: array + array for name, array in SMALL.items()}, {})
    file.unlink()
    assert same(loaded, SMALL)


def test_a_changed_byte_anywhere_is_refused(file: Path) -> None:
    tensorfile.save(file, SMALL, {"epoch": 3, "text": "a b"})
    whole = file.read_bytes()
    header = int.from_bytes(whole[:8], "little") + 8
    padding = range(len(whole[:header].rstrip()), header)
    for position in range(len(whole)):
        for flip in (0x01, 0x20, 0x55, 0x80, 0xFF):
            torn = bytearray(whole)
            torn[position] ^= flip
            if position in padding and chr(torn[position]).isspace():
                continue
            file.write_bytes(torn)
            with pytest.raises(ResnoiseError, match=r"arrays\.safetensors: "):
                tensorfile.load(file)


def test_a_file_cut_anywhere_is_refused(file: Path) -> None:
    tensorfile.save(file, SMALL, {"epoch": 3})
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        with pytest.raises(ResnoiseError, match=r"arrays\.safetensors: "):
            tensorfile.load(file)
    file.write_bytes(whole + b"\0")
    with pytest.raises(ResnoiseError, match="damaged"):
        tensorfile.load(file)


def write_foreign(file: Path) -> None:
    save_file({"a": np.ones(2)}, file)


def write_foreign_metadata(file: Path) -> None:
    save_file({"a": np.ones(2)}, file, {"format": "pt"})


def write_odd_metadata(file: Path) -> None:
    save_file({"a": np.ones(2)}, file, {"resnoise": "[1]"})


def write_text(file: Path) -> None:
    file.write_text("epoch,lr,risk\n1,0.1,2.3\n")


def write_empty(file: Path) -> None:
    file.write_bytes(b"")


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (write_foreign, "not written by this project"),
        (write_foreign_metadata, "not written by this project"),
        (write_odd_metadata, "not written by this project"),
        (write_text, "not a safetensors file"),
        (write_empty, "not a safetensors file"),
        (Path.mkdir, "a folder, needed: a file"),
    ],
)
def test_a_foreign_file_is_refused(file: Path, write: Callable[[Path], None], message: str) -> None:
    write(file)
    with pytest.raises(ResnoiseError, match=message):
        tensorfile.load(file)


def test_a_missing_file_is_named(file: Path) -> None:
    with pytest.raises(ResnoiseError, match=r"arrays\.safetensors: no such file"):
        tensorfile.load(file)


@pytest.mark.parametrize("kind", ["f2", "?", "i4", ">f4", "c8"])
def test_types_that_could_not_be_loaded_are_not_saved(file: Path, kind: str) -> None:
    with pytest.raises(ResnoiseError, match=f"array 'a' has type {np.dtype(kind)}"):
        tensorfile.save(file, {"a": np.zeros(2, kind)}, {})
    assert not file.exists()


def test_an_array_that_another_program_stored_in_another_type_is_refused(file: Path) -> None:
    tensorfile.save(file, {"a": np.zeros(2, np.float32)}, {})
    raw = file.read_bytes()
    file.write_bytes(raw.replace(b'"F32"', b'"I32"'))
    with pytest.raises(ResnoiseError, match="array 'a' has type I32"):
        tensorfile.load(file)


def test_a_failed_save_leaves_the_old_file(file: Path) -> None:
    tensorfile.save(file, SMALL, {})
    before = file.read_bytes()
    with pytest.raises(TypeError):
        tensorfile.save(file, SMALL, {"path": file})
    assert file.read_bytes() == before
    assert [*file.parent.iterdir()] == [file]


def test_the_digest_in_the_file_is_the_returned_one(file: Path) -> None:
    digest = tensorfile.save(file, SMALL, {})
    raw = file.read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    assert digest in json.dumps(header["__metadata__"])
    assert len(digest) == 64
