"""From a source to a data set, and the script that does it."""

import dataclasses
import inspect
import json
import runpy
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from resnoise import commandline, registry
from resnoise.data import dataset, digits
from resnoise.data.prepare import prepare
from resnoise.data.samples import digest
from resnoise.errors import ResnoiseError
from resnoise.specs.run import DataSpec
from resnoise.storage.checksum import file_digest, tree_digest

SCRIPT = Path(__file__).parents[2] / "workflow" / "scripts" / "prepare_data.py"
DIGITS = DataSpec("digits", None, None, None, 0)
PICTURES = dataclasses.replace(DIGITS, source="pictures")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write twelve digits 0 and 1 as PNG files."""
    data = load_digits()
    for label in (0, 1):
        for index, number in enumerate(np.flatnonzero(data.target == label)[:6]):
            part = "train" if index < 4 else "test"
            path = tmp_path / "pictures" / part / f"digit-{label}" / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((data.images[number] * 15).astype(np.uint8)).save(path)
    return tmp_path / "pictures"


@pytest.fixture
def archive(folder: Path) -> Path:
    """Write the same as an archive."""
    path = folder.parent / "pictures.tar.xz"
    with tarfile.open(path, "w:xz") as tar:
        tar.add(folder, "pictures")
    return path


def test_sources_are_read_as_the_registry_says() -> None:
    assert [*registry.SOURCES] == ["cifar10", "archive", "pictures", "digits"]
    for name, source in registry.SOURCES.items():
        # A source that is read from somewhere takes one path, the others take none.
        parameters = inspect.signature(registry.load_source(name).read).parameters
        assert len(parameters) == bool(source.path)


def test_folder_and_archive_give_the_same_with_their_own_digests(
    folder: Path, archive: Path
) -> None:
    from_folder, folder_digest = prepare(PICTURES, folder)
    from_archive, archive_digest = prepare(PICTURES, archive)
    assert digest(from_folder) == digest(from_archive)
    assert folder_digest == tree_digest(folder)
    assert archive_digest == file_digest(archive)


def test_digits_have_the_digest_of_their_arrays() -> None:
    samples, found = prepare(DIGITS, None)
    assert found == digest(digits.read()) == digest(samples)


def test_subset_keeps_the_order_and_the_source_s_digest() -> None:
    complete, complete_digest = prepare(DIGITS, None)
    spec = dataclasses.replace(DIGITS, train_per_class=7, test_per_class=3, subset_seed=5)
    subset, subset_digest = prepare(spec, None)
    assert subset_digest == complete_digest
    assert np.bincount(subset.train_labels).tolist() == [7] * 10
    assert np.bincount(subset.test_labels).tolist() == [3] * 10
    positions = [
        next(i for i, image in enumerate(complete.test_images) if np.array_equal(image, kept))
        for kept in subset.test_images
    ]
    assert positions == sorted(positions)
    assert np.array_equal(complete.test_labels[positions], subset.test_labels)


def test_subset_of_one_part_leaves_the_other_alone() -> None:
    samples, _ = prepare(dataclasses.replace(DIGITS, train_per_class=1), None)
    assert len(samples.train_labels) == 10
    assert np.array_equal(samples.test_images, digits.read().test_images)


def test_too_few_pictures_of_a_class_are_named(folder: Path) -> None:
    with pytest.raises(ResnoiseError, match="test_per_class is 3, but class 'digit-0' has only 2"):
        prepare(dataclasses.replace(PICTURES, test_per_class=3), folder)


@pytest.mark.parametrize("kind", ["folder", "archive", "digits"])
def test_checksum_is_compared(folder: Path, archive: Path, kind: str) -> None:
    source = {"folder": folder, "archive": archive, "digits": None}[kind]
    spec = DIGITS if source is None else PICTURES
    _, found = prepare(spec, source)
    assert prepare(dataclasses.replace(spec, sha256=found), source)[1] == found
    wrong = "ab" * 32
    with pytest.raises(ResnoiseError, match=f": SHA-256 is {found}, expected {wrong}"):
        prepare(dataclasses.replace(spec, sha256=wrong), source)


def test_checksum_is_compared_before_anything_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rubbish"
    path.write_bytes(b"x")
    spec = dataclasses.replace(DIGITS, source="archive", sha256="0" * 64)
    with pytest.raises(ResnoiseError, match="rubbish: SHA-256 is "):
        prepare(spec, path)


@pytest.mark.parametrize(
    ("source", "path", "message"),
    [
        ("imagenet", None, "source 'imagenet' is unknown, allowed: cifar10, archive, pictures, di"),
        ("pictures", None, "source 'pictures' needs the path of a file or folder"),
        ("digits", Path("somewhere"), "source 'digits' is built in and has no path, not somewhere"),
        ("archive", Path("nowhere"), r"nowhere: cannot be read \(No such file"),
        ("pictures", Path("nowhere"), r"nowhere: cannot be read \(No such file"),
    ],
)
def test_wrong_source_is_named(source: str, path: Path | None, message: str) -> None:
    with pytest.raises(ResnoiseError, match=message):
        prepare(dataclasses.replace(DIGITS, source=source), path)


def run_script(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", [SCRIPT.name, *map(str, arguments)])
    # Not as __main__, which would end this process.
    commandline.run(runpy.run_path(str(SCRIPT))["main"])


def test_script_writes_a_data_set_and_reports(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    output = tmp_path / "results" / "data.safetensors"
    run_script(monkeypatch, "--spec", PICTURES.to_json(), "--source", folder, "--output", output)
    data = dataset.load(output)
    assert data.class_names == ("digit-0", "digit-1")
    assert data.source_digest == tree_digest(folder)
    assert list(output.parent.iterdir()) == [output]
    (record,) = caplog.records
    text = record.getMessage()
    assert text.startswith("8 train and 4 test pictures of 8 x 8 pixels, 2 classes, mean 0.")
    assert data.digest in text
    assert data.source_digest in text


def test_script_needs_no_source_for_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "data.safetensors"
    run_script(monkeypatch, "--spec", DIGITS.to_json(), "--output", output)
    assert len(dataset.load(output).train_labels) == 1442


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{", "--spec is not JSON"),
        (json.dumps({"source": "digits"}), "a DataSpec needs exactly the keys"),
        (PICTURES.to_json(), "source 'pictures' needs the path"),
        (dataclasses.replace(DIGITS, train_per_class=999).to_json(), "train_per_class is 999, but"),
        (dataclasses.replace(DIGITS, sha256="0" * 64).to_json(), "digits: SHA-256 is"),
    ],
)
def test_script_ends_with_one_line_and_writes_nothing(
    spec: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "data.safetensors"
    with pytest.raises(SystemExit) as exit_:
        run_script(monkeypatch, "--spec", spec, "--output", output)
    assert str(exit_.value.code).startswith(f"error: {message}")
    assert "\n" not in str(exit_.value.code)
    assert list(tmp_path.iterdir()) == []


def test_damaged_picture_leaves_nothing_behind(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "test" / "digit-1" / "5.png").write_bytes(b"rubbish")
    output = tmp_path / "results" / "data.safetensors"
    with pytest.raises(SystemExit, match=r"test/digit-1/5\.png: cannot be decoded"):
        run_script(
            monkeypatch, "--spec", PICTURES.to_json(), "--source", folder, "--output", output
        )
    assert not output.parent.exists()
