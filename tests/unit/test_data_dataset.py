"""The prepared data set file."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from resnoise.data import dataset
from resnoise.data.samples import Samples, check, digest
from resnoise.errors import ResnoiseError
from resnoise.storage import tensorfile
from resnoise.training.batches import Normalisation


def make_samples(**changes) -> Samples:
    """Return five train and three test pictures of two classes, with some fields replaced."""
    numbers = np.random.default_rng(0)
    samples = Samples(
        train_images=numbers.integers(0, 256, (5, 8, 8, 3), dtype=np.uint8),
        train_labels=np.array([0, 1, 1, 0, 1]),
        test_images=numbers.integers(0, 256, (3, 8, 8, 3), dtype=np.uint8),
        test_labels=np.array([1, 0, 1]),
        class_names=("cat", "dog"),
    )
    return dataclasses.replace(samples, **changes)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    samples = make_samples()
    path = tmp_path / "data.safetensors"
    written = dataset.save(path, samples, "f" * 64)
    loaded = dataset.load(path)
    for part, (images, labels) in samples.parts().items():
        loaded_images, loaded_labels = loaded.parts()[part]
        assert np.array_equal(loaded_images, images)
        assert np.array_equal(loaded_labels, labels)
        assert loaded_images.dtype == np.uint8
        assert loaded_labels.dtype == np.int64
    assert loaded.class_names == ("cat", "dog")
    assert loaded.source_digest == "f" * 64
    assert loaded.digest == written
    assert list(tmp_path.iterdir()) == [path]


def test_digest_depends_on_the_content_only(tmp_path: Path) -> None:
    written = {dataset.save(tmp_path / name, make_samples(), "f" * 64) for name in ("a", "b")}
    assert len(written) == 1
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert dataset.save(tmp_path / "c", make_samples(), "e" * 64) not in written


def test_a_checksum_that_is_asked_for_makes_no_other_data_set(tmp_path: Path) -> None:
    digests = {
        dataset.save(
            tmp_path / "a", make_samples(), "a" * 64, spec=json.dumps(SPEC | {"sha256": own})
        )
        for own in (None, "a" * 64)
    }
    assert len(digests) == 1


def test_an_unknown_scaling_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResnoiseError, match="scaling: 'whitened' given, allowed: standardised, ce"):
        dataset.save(tmp_path / "data.safetensors", make_samples(), "source", "whitened")


def test_centred_pictures_are_not_divided(tmp_path: Path) -> None:
    """Their network inputs are pixel values from 0 to 1 minus the channel's mean."""
    samples = make_samples()
    dataset.save(tmp_path / "usual", samples, "")
    dataset.save(tmp_path / "centred", samples, "", "centred")
    usual, centred = (dataset.load(tmp_path / name) for name in ("usual", "centred"))
    assert centred.digest != usual.digest
    assert (centred.channel_std == 1).all() and not (usual.channel_std == 1).any()
    pictures = torch.from_numpy(samples.train_images)
    inputs = {
        name: Normalisation(one.channel_mean, one.channel_std, torch.device("cpu"), torch.float64)(
            pictures
        )
        for name, one in (("usual", usual), ("centred", centred))
    }
    expected = samples.train_images / 255 - (samples.train_images / 255).mean((0, 1, 2))
    torch.testing.assert_close(
        inputs["centred"], torch.from_numpy(expected).permute(0, 3, 1, 2), rtol=1e-12, atol=1e-14
    )
    deviations = inputs["usual"].std((0, 2, 3), correction=0)
    torch.testing.assert_close(deviations, torch.ones(3, dtype=torch.float64))


def test_statistics_are_those_of_the_training_pictures(tmp_path: Path) -> None:
    samples = make_samples()
    dataset.save(tmp_path / "data", samples, "")
    loaded = dataset.load(tmp_path / "data")
    scaled = samples.train_images / 255
    np.testing.assert_allclose(loaded.channel_mean, scaled.mean((0, 1, 2)), rtol=1e-14)
    np.testing.assert_allclose(loaded.channel_std, scaled.std((0, 1, 2)), rtol=1e-13)
    assert loaded.channel_mean.dtype == loaded.channel_std.dtype == np.float64


def test_statistics_over_several_chunks() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2500, 4, 4, 3), dtype=np.uint8)
    mean, std = dataset.channel_statistics(images)
    np.testing.assert_allclose(mean, (images / 255).mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, (images / 255).std((0, 1, 2)), rtol=1e-12)


def test_constant_channel_is_named_and_nothing_written(tmp_path: Path) -> None:
    samples = make_samples()
    samples.train_images[..., 1] = 7
    with pytest.raises(ResnoiseError, match="green channel of the training pictures is 7 every"):
        dataset.save(tmp_path / "data", samples, "")
    assert list(tmp_path.iterdir()) == []


def test_pictures_may_have_one_channel(tmp_path: Path) -> None:
    samples = make_samples()
    grey = {name: getattr(samples, name)[..., :1] for name in ("train_images", "test_images")}
    path = tmp_path / "data"
    dataset.save(path, make_samples(**grey), "")
    loaded = dataset.load(path)
    assert np.array_equal(loaded.train_images, grey["train_images"])
    scaled = grey["train_images"] / 255
    np.testing.assert_allclose(loaded.channel_mean, [scaled.mean()], rtol=1e-14)
    np.testing.assert_allclose(loaded.channel_std, [scaled.std()], rtol=1e-13)
    grey["train_images"][:] = 9
    with pytest.raises(ResnoiseError, match="grey channel of the training pictures is 9 everywh"):
        dataset.save(path, make_samples(**grey), "")


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResnoiseError, match="nothing: no such file"):
        dataset.load(tmp_path / "nothing")


def test_other_array_file_is_refused(tmp_path: Path) -> None:
    tensorfile.save(tmp_path / "weights", {"w": np.zeros(3)}, {"kind": "run"})
    with pytest.raises(ResnoiseError, match="weights: not a prepared data set"):
        dataset.load(tmp_path / "weights")


def test_incomplete_data_set_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data"
    dataset.save(path, make_samples(), "")
    arrays, metadata, _ = tensorfile.load(path)
    del arrays["test_labels"]
    tensorfile.save(tmp_path / "less", arrays, metadata)
    with pytest.raises(ResnoiseError, match=r"less: not a complete data set .*test_labels"):
        dataset.load(tmp_path / "less")


def test_changed_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "data"
    dataset.save(path, make_samples(), "")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ResnoiseError, match="data: content has SHA-256"):
        dataset.load(path)


def pictures(count: int, height: int = 8, width: int = 8) -> np.ndarray:
    return np.zeros((count, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_names": ("cat",)}, "origin: classes .'cat'., needed are two or more"),
        ({"class_names": ("cat", "cat")}, "classes .'cat', 'cat'., needed are two or more diff"),
        ({"class_names": ("cat", "dog", "emu")}, "'emu' has 0 pictures in train and 0 in test"),
        ({"train_images": pictures(5).astype(float)}, r"train pictures are float64 \(5, 8, 8, 3\)"),
        ({"test_images": pictures(3)[..., :2]}, r"test pictures are uint8 \(3, 8, 8, 2\)"),
        ({"test_images": pictures(3)[..., :1]}, "train pictures have channels: 3, test pictures 1"),
        ({"test_images": pictures(3)[0]}, r"test pictures are uint8 \(8, 8, 3\), needed is"),
        ({"train_labels": np.zeros(5)}, r"train labels are float64 \(5,\), needed is int64 .5."),
        ({"test_labels": np.array([0, 1])}, r"test labels are int64 \(2,\), needed is int64 .3."),
        ({"train_labels": np.array([0, 1, 2, 0, 1])}, "train label 2, allowed are 0 to 1"),
        ({"test_labels": np.array([0, -1, 1])}, "test label -1, allowed are 0 to 1"),
        ({"test_labels": np.array([1, 1, 1])}, "class 'cat' has 2 pictures in train and 0 in test"),
        ({"train_labels": np.zeros(5, int)}, "class 'dog' has 0 pictures in train and 2 in test"),
        ({"test_images": pictures(3, 4, 4)}, "train pictures have side 8, test pictures 4"),
        ({"train_images": pictures(5, 8, 4)}, "train pictures: 4 x 8 pixels, needed are squares"),
        ({"train_images": pictures(5, 6, 6)}, "train pictures: 6 x 6 pixels, .* divisible by 4"),
        ({"train_images": pictures(5, 0, 0)}, "train pictures: 0 x 0 pixels, needed are squares"),
    ],
)
def test_unsuitable_samples_are_refused(changes, message: str) -> None:
    with pytest.raises(ResnoiseError, match=f"^origin: .*{message.removeprefix('origin: ')}"):
        check(make_samples(**changes), "origin")


def test_samples_digest_depends_on_everything() -> None:
    samples = make_samples()
    variants = [
        samples,
        make_samples(class_names=("cat", "cow")),
        make_samples(train_labels=samples.train_labels[::-1].copy()),
        make_samples(test_images=255 - samples.test_images),
    ]
    assert len({digest(variant) for variant in variants}) == len(variants)
    assert digest(samples) == digest(make_samples())


SPEC = {"source": "pictures", "sha256": "a" * 64, "train_per_class": 2, "subset_seed": 0}


def test_other_pictures_than_those_asked_for_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "data"
    dataset.save(path, make_samples(), "a" * 64, spec=json.dumps(SPEC))
    for wanted in (SPEC, {**SPEC, "sha256": None}):
        dataset.load(path, json.dumps(wanted))
    for key, value in (("train_per_class", 3), ("sha256", "b" * 64)):
        with pytest.raises(ResnoiseError, match=rf"other pictures .* with {key} .* instead of"):
            dataset.load(path, json.dumps({**SPEC, key: value}))
    dataset.save(path, make_samples(), "a" * 64)
    with pytest.raises(ResnoiseError, match=r"source None instead of pictures, .*; delete it and"):
        dataset.load(path, json.dumps(SPEC))
