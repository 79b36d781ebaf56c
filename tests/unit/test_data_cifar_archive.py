"""Reading archives like cifar-10-python.tar.gz."""

import io
import os
import pickle
import struct
import tarfile
import warnings
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from resnoise.data import archive, cifar_archive
from resnoise.errors import ResnoiseError

FOLDER = "cifar-10-batches-py"
BATCHES = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]
NAMES = ["aeroplane", "bird", "cat"]


class Python2Pickler(pickle._Pickler):
    """Writes what cPickle of Python 2 wrote: protocol 2, and all strings as byte strings."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_bytes(self, content: bytes) -> None:
        if len(content) < 256:
            self.write(b"U" + bytes([len(content)]) + content)
        else:
            self.write(b"T" + struct.pack("<i", len(content)) + content)
        self.memoize(content)

    def save_str(self, text: str) -> None:
        self.save_bytes(text.encode())

    def save_global(self, obj: Any, name: str | None = None) -> None:
        module = "numpy.core.multiarray" if obj.__name__ == "_reconstruct" else "numpy"
        self.write(f"c{module}\n{obj.__name__}\n".encode())
        self.memoize(obj)

    dispatch[bytes] = save_bytes
    dispatch[str] = save_str
    dispatch[type(np.empty(0).__reduce__()[0])] = save_global
    dispatch[type] = save_global


def python2_dumps(value: Any) -> bytes:
    stream = io.BytesIO()
    Python2Pickler(stream, protocol=2).dump(value)
    return stream.getvalue()


def python3_dumps(protocol: int):
    return lambda value: pickle.dumps(value, protocol=protocol)


def batch(number: int, count: int = 6, **changes: Any) -> dict[str, Any]:
    """Return one batch with keys as in the original."""
    data = np.random.default_rng(number).integers(0, 256, (count, 3072), dtype=np.uint8)
    labels = [index % len(NAMES) for index in range(count)]
    return {"batch_label": f"batch {number}", "labels": labels, "data": data} | changes


def members(dumps=python2_dumps, **changes: Any) -> dict[str, bytes]:
    """Return the members of a small archive; ``changes`` replaces values of data_batch_2."""
    contents = {
        f"{FOLDER}/{name}": dumps(batch(number, **(changes if name == "data_batch_2" else {})))
        for number, name in enumerate(BATCHES, start=1)
    }
    contents[f"{FOLDER}/batches.meta"] = dumps({"label_names": NAMES, "num_vis": 3072})
    contents[f"{FOLDER}/readme.html"] = b"<html>"
    return contents


def write(path: Path, contents: dict[str, bytes], mode: str = "w:gz", extra=()) -> Path:
    """Write an archive with ``contents`` and further bare members."""
    with tarfile.open(path, mode) as tar:
        for name, content in contents.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for info in extra:
            tar.addfile(info)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cifar.tar.gz"


def refused(path: Path) -> str:
    """Return the message with which an archive is refused, and check that it is one line."""
    before = sorted(path.parent.iterdir())
    with pytest.raises(ResnoiseError) as error:
        cifar_archive.read(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert sorted(path.parent.iterdir()) == before
    return message


@pytest.mark.parametrize(
    "dumps",
    [python2_dumps, *(python3_dumps(protocol) for protocol in (2, 3, 4, 5))],
    ids=["python2", "protocol2", "protocol3", "protocol4", "protocol5"],
)
def test_archives_of_all_pythons_are_read(path: Path, dumps) -> None:
    write(path, members(dumps))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        samples = cifar_archive.read(path)
    assert samples.class_names == tuple(NAMES)
    assert samples.train_images.shape == (30, 32, 32, 3)
    assert samples.test_images.shape == (6, 32, 32, 3)
    assert samples.train_labels.tolist() == [0, 1, 2, 0, 1, 2] * 5
    assert samples.train_labels.dtype == np.int64
    # Picture 8 is the second of data_batch_2, stored as a red, a green and a blue plane.
    red, green, blue = batch(2)["data"][1].reshape(3, 32, 32)
    assert np.array_equal(samples.train_images[7], np.stack([red, green, blue], axis=-1))
    assert np.array_equal(
        samples.test_images[0, :, :, 2], batch(6)["data"][0, 2048:].reshape(32, 32)
    )


def test_python2_pickles_have_bytes_as_keys() -> None:
    content = python2_dumps(batch(1))
    assert b"numpy.core.multiarray" in content
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value = pickle.loads(content, encoding="bytes")
    assert b"data" in value
    assert np.array_equal(value[b"data"], batch(1)["data"])


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_members_may_be_compressed_and_in_any_order(path: Path, mode: str) -> None:
    contents = dict(reversed(list(members().items())))
    samples = cifar_archive.read(write(path, contents, mode))
    other = cifar_archive.read(write(path, members()))
    assert np.array_equal(samples.train_images, other.train_images)


def test_arrays_in_column_order_are_read(path: Path) -> None:
    data = np.asfortranarray(batch(2)["data"])
    for dumps in (python2_dumps, python3_dumps(5)):
        samples = cifar_archive.read(write(path, members(dumps, data=data)))
        red = samples.train_images[6, :, :, 0]
        assert np.array_equal(red, batch(2)["data"][0, :1024].reshape(32, 32))


class Evil:
    """Runs a command when it is unpickled by the usual means."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_malicious_pickle_is_refused_without_being_run(
    path: Path, tmp_path: Path, protocol: int
) -> None:
    marker = tmp_path / "marker"
    content = pickle.dumps({"data": Evil(marker)}, protocol=protocol)
    write(path, members() | {f"{FOLDER}/data_batch_3": content})
    message = refused(path)
    assert f"{FOLDER}/data_batch_3" in message
    assert "refers to posix.system, allowed: NumPy arrays of bytes only" in message
    assert not marker.exists()
    pickle.loads(content)
    assert marker.exists(), "the pickle would have been harmless anyway"


@pytest.mark.parametrize(
    "reference", ["builtins.eval", "numpy.core.multiarray.fromfile", "numpy.load", "_codecs.lookup"]
)
def test_other_names_are_refused(path: Path, reference: str) -> None:
    module, name = reference.rsplit(".", 1)
    write(path, members() | {f"{FOLDER}/test_batch": f"c{module}\n{name}\n.".encode()})
    assert f"test_batch: not a CIFAR pickle (refers to {reference}, allowed" in refused(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a pickle",
        python2_dumps(batch(1))[:-100],
        # Calls the stand-in for codecs.encode with another encoding.
        b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x03\x00\x00\x00hextR.",
        # A state for a function, and an array whose state never comes to be one.
        b"cnumpy.core.multiarray\n_reconstruct\n(NNNtR(NNtb.",
        pickle.dumps({"data": np.zeros((6, 3072), dtype=np.float32)}),
        pickle.dumps({"data": np.array([os.getcwd], dtype=object)}),
        pickle.dumps({"data": np.zeros(2, dtype="u1,u1")}),
    ],
)
def test_damaged_or_odd_pickles_are_refused(path: Path, content: bytes) -> None:
    write(path, members() | {f"{FOLDER}/data_batch_4": content})
    assert f"{FOLDER}/data_batch_4: not a CIFAR pickle (" in refused(path)


@pytest.mark.parametrize("value", [[1, 2], {1: 2}, None])
def test_pickle_must_be_a_dictionary(path: Path, value: Any) -> None:
    write(path, members() | {f"{FOLDER}/batches.meta": pickle.dumps(value)})
    assert "batches.meta: holds no dictionary with names as keys" in refused(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": np.zeros((6, 3071), dtype=np.uint8)}, "data is (6, 3071), allowed: a uint8"),
        ({"data": np.zeros(3072, dtype=np.uint8)}, "data is (3072,), allowed: a uint8 array (n,"),
        ({"data": [1, 2]}, "data is list, allowed: a uint8 array (n, 3072)"),
        ({"labels": [0] * 5}, "labels is not a list of 6 labels"),
        ({"labels": "012012"}, "labels is not a list of 6 labels"),
        ({"labels": [0, 1, 2, 3, 0, 1]}, "label 3, allowed: 0 to 2"),
        ({"labels": [0, 1, -1, 0, 0, 1]}, "label -1, allowed: 0 to 2"),
        ({"labels": [0, 1, True, 0, 0, 1]}, "label True, allowed: 0 to 2"),
        ({"labels": [0, 1, 1.0, 0, 0, 1]}, "label 1.0, allowed: 0 to 2"),
    ],
)
def test_wrong_batches_are_refused(path: Path, changes: dict[str, Any], message: str) -> None:
    write(path, members(**changes))
    assert f"{FOLDER}/data_batch_2: {message}" in refused(path)


@pytest.mark.parametrize("key", ["data", "labels"])
def test_batch_without_a_key_is_refused(path: Path, key: str) -> None:
    value = {name: item for name, item in batch(5).items() if name != key}
    write(path, members() | {f"{FOLDER}/data_batch_5": python2_dumps(value)})
    assert f"{FOLDER}/data_batch_5: {key} is " in refused(path)


@pytest.mark.parametrize("value", [{}, {"label_names": "abc"}, {"label_names": [1, 2]}])
def test_wrong_class_names_are_refused(path: Path, value: Any) -> None:
    write(path, members() | {f"{FOLDER}/batches.meta": python2_dumps(value)})
    assert f"{FOLDER}/batches.meta: label_names is not a list of names" in refused(path)


@pytest.mark.parametrize("name", [*BATCHES, "batches.meta"])
def test_missing_member_is_named(path: Path, name: str) -> None:
    contents = members()
    del contents[f"{FOLDER}/{name}"]
    assert f"has no member {FOLDER}/{name}" in refused(write(path, contents))


def test_member_twice_is_refused(path: Path) -> None:
    write(path, members(), "w")
    with tarfile.open(path, "a") as tar:
        tar.addfile(tarfile.TarInfo(f"{FOLDER}/test_batch"))
    assert f"member {FOLDER}/test_batch appears twice" in refused(path)


def bare(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    """Return a member without content."""
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = link
    return info


@pytest.mark.parametrize(
    ("info", "message"),
    [
        (bare("/etc/passwd"), "member '/etc/passwd' leads out of the archive's folder"),
        (bare("../up"), "member '../up' leads out of"),
        (bare(f"{FOLDER}/../../up"), "/../../up' leads out of"),
        (bare(f"{FOLDER}/x", tarfile.SYMTYPE, "/etc"), "/x' is a link or device, allowed: files"),
        (bare(f"{FOLDER}/x", tarfile.LNKTYPE, "y"), "/x' is a link or device, allowed: files"),
        (bare(f"{FOLDER}/x", tarfile.CHRTYPE), "/x' is a link or device, allowed: files"),
        (bare(f"{FOLDER}/x", tarfile.FIFOTYPE), "/x' is a link or device, allowed: files"),
    ],
)
def test_unsafe_members_are_refused(path: Path, info: tarfile.TarInfo, message: str) -> None:
    assert message in refused(write(path, members(), extra=[info]))


def test_too_large_member_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar_archive, "_SIZE_LIMIT", 1000)
    message = refused(write(path, members()))
    assert f"member '{FOLDER}/data_batch_1' has " in message
    assert "bytes, allowed: 1000" in message


DAMAGED = "damaged, incomplete, or not a tar, tar.gz or tar.xz archive"


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.9, 0.999])
def test_truncated_archives_are_refused(path: Path, mode: str, share: float) -> None:
    write(path, members(), mode)
    content = path.read_bytes()
    # Tar files end with many zeros, of which only the first block counts.
    end = len(content.rstrip(b"\0")) if mode == "w" else len(content)
    path.write_bytes(content[: int(end * share)])
    assert DAMAGED in refused(path)


def test_archive_cut_between_members_is_refused(path: Path) -> None:
    write(path, members(), "w")
    with tarfile.open(path) as tar:
        last = tar.getmembers()[-1]
    path.write_bytes(path.read_bytes()[: last.offset])
    assert DAMAGED in refused(path)


@pytest.mark.parametrize("mode", ["w:gz", "w:xz"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_flipped_bits_are_noticed(path: Path, mode: str, share: float) -> None:
    content = bytearray(write(path, members(), mode).read_bytes())
    content[int(len(content) * share)] ^= 0x10
    path.write_bytes(content)
    assert DAMAGED in refused(path)


def test_damaged_member_header_is_not_taken_for_the_end(path: Path) -> None:
    content = bytearray(write(path, members(), "w").read_bytes())
    with tarfile.open(path) as tar:
        readme = tar.getmember(f"{FOLDER}/readme.html")
    content[readme.offset] ^= 1
    path.write_bytes(content)
    assert DAMAGED in refused(path)


@pytest.mark.parametrize("content", [b"", b"<html>Not found</html>", b"\x1f\x8b rubbish"])
def test_other_files_are_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert DAMAGED in refused(path)


def test_folder_is_refused(path: Path) -> None:
    path.mkdir()
    assert "a folder, needed: a file" in refused(path)


def test_members_are_not_read_unless_asked_for(path: Path) -> None:
    write(path, members())
    names = ["/".join(member.parts) for member in archive.members(path, size_limit=0)]
    assert names == list(members())
