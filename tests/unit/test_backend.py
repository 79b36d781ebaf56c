"""Which code computes convolutions, and that a run does not depend on it beyond rounding."""

import dataclasses
import json
import logging
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from resnoise import provenance
from resnoise.config import load as config
from resnoise.data import dataset as datasets
from resnoise.data.dataset import Dataset
from resnoise.data.prepare import prepare
from resnoise.native import build as native_build
from resnoise.native import network as native_network
from resnoise.networks import build
from resnoise.plan.specs import recipe_spec
from resnoise.specs.run import DataSpec, NetworkSpec, RecipeSpec, RunSpec
from resnoise.storage import tensorfile
from resnoise.training import backend
from resnoise.training.loop import train
from resnoise.training.run import RunFiles

RECIPE = dataclasses.replace(
    recipe_spec(config.load({}), "plain"), epochs=1, batch_size=30, learning_rate=0.02
)


@pytest.fixture
def compiler() -> None:
    """Skip a test where there is no C compiler."""
    try:
        native_build.load(single=True)
    except native_build.NativeUnavailable as error:
        pytest.skip(str(error))


def selected(architecture: str, recipe: RecipeSpec, width: int = 16) -> backend.Backend:
    """Return the backend of a network in the recipe's type, for pictures of 32x32 pixels."""
    network = build(NetworkSpec(architecture, 8, width), 10)
    if recipe.precision == "float64":
        network = network.double()
    spec = RunSpec(NetworkSpec(architecture, 8, width), "kwi", 1, recipe)
    return backend.select(network, spec, 32, 32)


@pytest.mark.usefixtures("compiler")
def test_auto_takes_the_native_code_where_it_can() -> None:
    assert selected("plain", RECIPE).name == "native"
    assert selected("residual", dataclasses.replace(RECIPE, precision="float64")).name == "native"


def test_torch_is_torch() -> None:
    assert selected("plain", dataclasses.replace(RECIPE, conv_backend="torch")).name == "torch"


@pytest.mark.parametrize(
    ("architecture", "changes", "width", "reason"),
    [
        ("full-residual", {}, 16, "no native code for full-residual networks"),
        ("plain", {"precision": "bfloat16"}, 16, "neither bfloat16"),
        ("plain", {"compile": True}, 16, "nor torch.compile"),
        ("plain", {}, 4, "multiple of 8, not 4"),
    ],
)
def test_torch_takes_over_with_a_reason(
    architecture: str,
    changes: dict[str, object],
    width: int,
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    recipe = dataclasses.replace(RECIPE, conv_backend="native", **changes)
    assert selected(architecture, recipe, width).name == "torch"
    assert reason in caplog.text


@pytest.mark.parametrize(
    ("architecture", "reason"),
    [
        ("full-residual", "no Triton code for full-residual networks"),
        ("plain", "computes on a GPU, not on the device cpu"),
    ],
)
def test_torch_takes_over_from_triton_with_a_reason(
    architecture: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("triton")
    recipe = dataclasses.replace(RECIPE, conv_backend="triton")
    assert selected(architecture, recipe).name == "torch"
    (record,) = caplog.records
    assert record.levelname == "WARNING" and reason in record.message


def test_without_triton_torch_takes_over(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # None makes Python say that there is no such module.
    for name in [name for name in sys.modules if name.partition(".")[0] == "triton"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "triton", None)
    for name in ("fused", "fused_kernels"):
        monkeypatch.delitem(sys.modules, f"resnoise.native.{name}", raising=False)
    assert selected("plain", dataclasses.replace(RECIPE, conv_backend="triton")).name == "torch"
    assert "Triton code needs the package triton" in caplog.text
    code = provenance.promise("train.py", "torch.yaml", "resnoise.native.fused")
    provenance.check(code, load=True)


@pytest.mark.parametrize(("asked", "level"), [("native", "WARNING"), ("auto", "INFO")])
def test_without_a_compiler_torch_takes_over(
    asked: str,
    level: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("CC", "/nonexistent/cc")
    # Forget the library that this process has loaded, and those compiled before.
    native_network._library.cache_clear()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert selected("plain", dataclasses.replace(RECIPE, conv_backend=asked)).name == "torch"
    (record,) = caplog.records
    assert record.levelname == level
    assert "/nonexistent/cc" in record.message


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    path = tmp_path_factory.mktemp("data") / "data.safetensors"
    samples, digest = prepare(DataSpec("digits", None, 10, 5, 0), None)
    datasets.save(path, samples, digest)
    return datasets.load(path)


def weights(
    data: Dataset, folder: Path, threads: int, **changes: object
) -> tuple[dict[str, np.ndarray], str]:
    """Train a residual network; return its weights and which backend it had."""
    spec = RunSpec(
        NetworkSpec("residual", 8, 16), "hmwi", 1, dataclasses.replace(RECIPE, **changes)
    )
    files = RunFiles.in_folder(folder)
    train([spec], data, [files], device="cpu", threads=threads, code="code")
    record = json.loads(files.record.read_text("utf-8"))
    return tensorfile.load(files.weights)[0], record["sessions"][0]["conv_backend"]


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_native_run_has_the_same_bits_for_any_number_of_threads(
    precision: str, data: Dataset, tmp_path: Path
) -> None:
    runs = [
        weights(data, tmp_path / str(threads), threads, precision=precision)
        for threads in (1, 2, 3)
    ]
    torch.set_num_threads(1)
    for found, name in runs:
        assert name == "native"
        for key, array in runs[0][0].items():
            np.testing.assert_array_equal(found[key], array)


@pytest.mark.usefixtures("compiler")
def test_native_and_torch_runs_agree_to_rounding_in_float64(data: Dataset, tmp_path: Path) -> None:
    native, name = weights(data, tmp_path / "native", 1, precision="float64")
    other, other_name = weights(
        data, tmp_path / "torch", 1, precision="float64", conv_backend="torch"
    )
    assert (name, other_name) == ("native", "torch")
    for key, array in native.items():
        np.testing.assert_allclose(array, other[key], rtol=1e-9, atol=1e-12)
