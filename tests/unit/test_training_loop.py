"""Training: the same bits again and after any interruption, and what is written along the way."""

import csv
import dataclasses
import json
import logging
import math
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import examples
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

from resnoise import devices, initialisations, provenance, registry
from resnoise.config import load as config
from resnoise.data import dataset
from resnoise.data.dataset import Dataset
from resnoise.data.samples import Samples
from resnoise.devices import Computing
from resnoise.errors import ResnoiseError
from resnoise.initialisations import initialise
from resnoise.metrics.evaluation import measure_run
from resnoise.native import build as native_build
from resnoise.native import network as native_network
from resnoise.networks import build
from resnoise.plan import specs as plan
from resnoise.specs.metrics import EvaluationSpec
from resnoise.specs.run import RunSpec
from resnoise.storage import tensorfile
from resnoise.storage.digests import digest_file
from resnoise.storage.files import exclusive
from resnoise.trained import run as trained
from resnoise.training import checkpoint, evaluation, loop
from resnoise.training import run as run_module
from resnoise.training.batches import Normalisation, TrainingBatches
from resnoise.training.checkpoint import State
from resnoise.training.observer import Observer
from resnoise.training.run import Run, RunFiles

ARCHITECTURES = ("plain", "residual", "full-plain", "full-residual")
EPOCHS = 3
TRAIN, TEST = 52, 40
TIMES = ("seconds", "images_per_second")

pytestmark = pytest.mark.usefixtures("saved_after_every_epoch")


class Killed(BaseException):
    """Ends a run as a signal would: nothing in the program catches it."""


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    """Restore the number of threads, which training sets."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def data_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Handwritten digits of 8 x 8 pixels, the smallest pictures that halve twice."""
    digits = load_digits()
    grey = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    pictures = np.repeat(grey[..., None], 3, axis=3)
    labels = digits.target.astype(np.int64)
    test = slice(TRAIN, TRAIN + TEST)
    names = tuple("0123456789")
    samples = Samples(pictures[:TRAIN], labels[:TRAIN], pictures[test], labels[test], names)
    path = tmp_path_factory.mktemp("data") / "data.safetensors"
    dataset.save(path, samples, "source")
    return path


@pytest.fixture(scope="module")
def data(data_file: Path) -> Dataset:
    return dataset.load(data_file)


def run_spec(
    architecture: str = "residual", seed: int = 1, width: int = 4, **recipe: Any
) -> RunSpec:
    """Return a small run: depth 8, three epochs of four batches; native code cannot do width 4."""
    usual = plan.run_spec(config.load({}), architecture, 8, "kwi", seed)
    changes = {"epochs": EPOCHS, "batch_size": 16, "crop_padding": 1, "learning_rate": 0.05}
    return dataclasses.replace(
        usual,
        network=dataclasses.replace(usual.network, width=width),
        recipe=dataclasses.replace(usual.recipe, **{**changes, **recipe}),
    )


def train(
    spec: RunSpec, data: Dataset, folder: Path, threads: int = 1, code: str = "code"
) -> RunFiles:
    files = RunFiles.in_folder(folder)
    loop.train([spec], data, [files], device="cpu", threads=threads, code=code)
    return files


def history(files: RunFiles) -> list[dict[str, str]]:
    """Return the history without the columns that measure time."""
    with files.history.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [{name: row[name] for name in row if name not in TIMES} for row in rows]


def result(files: RunFiles) -> tuple[bytes, bytes, list[dict[str, str]]]:
    """Return everything of a run that must be the same each time."""
    return files.weights.read_bytes(), files.snapshots.read_bytes(), history(files)


def record(files: RunFiles) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(files.record.read_text())
    return facts


def weights(files: RunFiles) -> dict[str, np.ndarray]:
    return tensorfile.load(files.weights)[0]


def snapshots(files: RunFiles) -> dict[str, dict[str, np.ndarray]]:
    return checkpoint.unflatten(tensorfile.load(files.snapshots)[0])


def equal(one: dict[str, np.ndarray], two: dict[str, np.ndarray]) -> bool:
    return one.keys() == two.keys() and all(np.array_equal(one[name], two[name]) for name in one)


def stop_after(
    epochs: int, spec: RunSpec, data: Dataset, folder: Path, threads: int = 1, code: str = "code"
) -> RunFiles:
    """Train and die when the checkpoint of an epoch has been written."""

    def save(path: Path, states: list[checkpoint.State], *arguments: Any) -> None:
        saved(path, states, *arguments)
        if states[0].epoch == epochs:
            raise Killed

    saved = checkpoint.save
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(checkpoint, "save", save)
        train(spec, data, folder, threads, code)
    files = RunFiles.in_folder(folder)
    assert files.checkpoint.exists()
    assert not files.weights.exists()
    return files


@pytest.mark.parametrize(
    ("architecture", "precision"),
    [
        *((architecture, "float32") for architecture in ARCHITECTURES),
        ("residual", "float64"),
        ("residual", "bfloat16"),
        ("full-residual", "bfloat16"),
    ],
)
def test_two_runs_give_the_same_bits(
    architecture: str, precision: str, data: Dataset, tmp_path: Path
) -> None:
    spec = run_spec(architecture, precision=precision)
    one = train(spec, data, tmp_path / "one")
    torch.manual_seed(5)
    two = train(spec, data, tmp_path / "two")
    assert result(one) == result(two)
    other = train(dataclasses.replace(spec, seed=2), data, tmp_path / "other")
    assert not equal(weights(one), weights(other))


@pytest.mark.parametrize(
    ("architecture", "stops"),
    [
        *((architecture, (1, 2, 3)) for architecture in ARCHITECTURES),
        *(("full-residual", (epoch,)) for epoch in (1, 2, 3)),
        *(("residual", (epoch,)) for epoch in (1, 2, 3)),
    ],
)
def test_a_run_that_was_stopped_after_any_epoch_ends_with_the_same_bits(
    architecture: str, stops: tuple[int, ...], data: Dataset, tmp_path: Path
) -> None:
    spec = run_spec(architecture, snapshot_epochs=(1, 3))
    whole = train(spec, data, tmp_path / "whole")
    for epoch in stops:
        stop_after(epoch, spec, data, tmp_path / "stopped")
    stopped = train(spec, data, tmp_path / "stopped")
    assert result(stopped) == result(whole)
    assert not stopped.checkpoint.exists()
    sessions = record(stopped)["sessions"]
    assert [session["first_epoch"] for session in sessions] == [1, *(s + 1 for s in stops)]


@pytest.mark.parametrize("recipe", [{"momentum": 0.0}, {"precision": "float64"}, {"batch_size": 1}])
def test_resuming_is_exact_with_other_recipes(
    recipe: dict[str, Any], data: Dataset, tmp_path: Path
) -> None:
    spec = run_spec(**{"learning_rate": 0.01, **recipe})
    whole = train(spec, data, tmp_path / "whole")
    stop_after(2, spec, data, tmp_path / "stopped")
    assert result(train(spec, data, tmp_path / "stopped")) == result(whole)


@pytest.fixture
def _compiler() -> None:
    """Skip the test where there is no C compiler."""
    try:
        native_build.load(single=True)
    except native_build.NativeUnavailable as error:
        pytest.skip(str(error))


@pytest.mark.usefixtures("_compiler")
@pytest.mark.parametrize("architecture", ["plain", "residual"])
def test_native_code_gives_the_same_bits_stopped_or_not_with_any_number_of_threads(
    architecture: str, data: Dataset, tmp_path: Path
) -> None:
    spec = run_spec(architecture, width=16, conv_backend="native")
    whole = train(spec, data, tmp_path / "whole")
    stop_after(1, spec, data, tmp_path / "stopped")
    assert result(train(spec, data, tmp_path / "stopped")) == result(whole)
    assert result(train(spec, data, tmp_path / "threads", threads=2)) == result(whole)
    assert record(whole)["sessions"][0]["conv_backend"] == "native"


@pytest.mark.usefixtures("_compiler")
def test_native_code_trains_as_pytorch_does(data: Dataset, tmp_path: Path) -> None:
    specs = [
        run_spec(width=16, precision="float64", conv_backend=name) for name in ("native", "torch")
    ]
    native, usual = (train(spec, data, tmp_path / spec.recipe.conv_backend) for spec in specs)
    assert [record(f)["sessions"][0]["conv_backend"] for f in (native, usual)] == [
        "native",
        "torch",
    ]
    for name, array in weights(usual).items():
        np.testing.assert_allclose(weights(native)[name], array, rtol=1e-8, atol=1e-11)
    for one, two in zip(evaluate(native, data), evaluate(usual, data), strict=True):
        for name in MEASURES:
            assert float(one[name]) == pytest.approx(float(two[name]), rel=1e-9)


@pytest.mark.usefixtures("_compiler")
def test_a_run_that_is_resumed_with_other_convolutions_warns(
    data: Dataset,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = run_spec(width=16)
    stop_after(1, spec, data, tmp_path)

    def missing(*_arguments: Any) -> None:
        raise native_build.NativeUnavailable("no C compiler")

    monkeypatch.setattr(native_network, "backend", missing)
    sessions = record(train(spec, data, tmp_path))["sessions"]
    assert [session["conv_backend"] for session in sessions] == ["native", "torch"]
    assert "conv_backend was native before the stop and is torch now" in caplog.text


@pytest.mark.parametrize("what", ["device", "processor", "torch"])
def test_a_run_that_is_resumed_elsewhere_warns(
    data: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    spec = run_spec()
    stop_after(1, spec, data, tmp_path)
    file = RunFiles.in_folder(tmp_path).checkpoint
    arrays, facts, _ = tensorfile.load(file)
    session = facts["runs"][0]["sessions"][0]
    (session["packages"] if what == "torch" else session)[what] = "another"
    tensorfile.save(file, {name: array.copy() for name, array in arrays.items()}, facts)
    train(spec, data, tmp_path)
    warnings = [each.message for each in caplog.records if each.levelname == "WARNING"]
    assert len(warnings) == 1
    assert f"{what} was another before the stop and is" in warnings[0]


def test_a_run_that_is_resumed_where_it_was_does_not_warn(
    data: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stop_after(1, run_spec(), data, tmp_path)
    train(run_spec(), data, tmp_path)
    assert not [each for each in caplog.records if each.levelname == "WARNING"]


def test_a_run_that_dies_at_any_change_of_a_file_ends_with_the_same_bits(
    data: Dataset, tmp_path: Path
) -> None:
    spec = run_spec("full-residual", epochs=2, snapshot_epochs=(1, 2))
    whole = result(train(spec, data, tmp_path / "whole"))
    operations = {name: getattr(Path, name) for name in ("replace", "unlink")}

    def die_at(number: int, before: bool) -> bool:
        """Train and die at a change of the file system; return whether there was such a change."""
        count = 0

        def change(self: Path, *arguments: Any, name: str, **options: Any) -> Any:
            nonlocal count
            temporary = name == "unlink" and options and self.name.startswith(".")
            if not temporary:
                count += 1
                if count == number and before:
                    raise Killed
            done = operations[name](self, *arguments, **options)
            if not temporary and count == number:
                raise Killed
            return done

        with pytest.MonkeyPatch.context() as patch:
            for name in operations:
                patch.setattr(
                    Path,
                    name,
                    lambda self, *a, _name=name, **o: change(self, *a, name=_name, **o),
                )
            try:
                train(spec, data, folder)
            except Killed:
                return True
        return False

    number = 0
    died = True
    while died:
        number += 1
        for before in (True, False):
            folder = tmp_path / f"{number}-{before}"
            died = die_at(number, before)
            files = train(spec, data, folder)
            assert result(files) == whole, (number, before)
            assert record(files)["status"] == "done"
            names = {files.weights, files.snapshots, files.history, files.record}
            names.add(digest_file(files.history))
            assert {*folder.iterdir()} == names
    # History with its digest, twice checkpoint and history, four results (one with a digest, which
    # then says which run it is of), removal of the checkpoint.
    assert number - 1 == 2 + 2 * 3 + 6 + 1


def test_a_script_killed_at_random_moments_ends_with_the_same_bits(
    data_file: Path, data: Dataset, tmp_path: Path
) -> None:
    spec = run_spec("full-residual", epochs=120, snapshot_epochs=(7, 40))
    plugins = registry.plugin_modules(
        spec.network.architecture, spec.initialisation, spec.recipe.conv_backend
    )
    code = provenance.code_digest("train.py", "torch.yaml", *plugins)
    whole = train(spec, data, tmp_path / "whole", code=code)
    files = RunFiles.in_folder(tmp_path / "killed")
    command = [sys.executable, provenance.SCRIPTS / "train.py", "--spec", spec.to_json()]
    command += ["--data", data_file, "--device", "cpu"]
    for name in ("weights", "snapshots", "history", "record"):
        command += [f"--{name}", getattr(files, name)]

    # Each process saves its first epoch, and not all others.
    for count in random.sample(range(1, 20), 2):
        delay = random.uniform(0, 0.02)
        moment = f"killed {delay} s after {count} epochs"
        assert examples.killed_after(count, command, delay) == -signal.SIGKILL, moment
        assert files.checkpoint.exists(), moment
    subprocess.run(command, check=True, capture_output=True)
    assert result(files) == result(whole), moment
    begun = [session["first_epoch"] for session in record(files)["sessions"]]
    assert len(begun) == 3 and begun == sorted({*begun}), moment


def test_training_is_momentum_descent_on_the_cost(data: Dataset, tmp_path: Path) -> None:
    spec = run_spec("residual", precision="float64", milestones=(0.5,), penalty=0.3)
    files = train(spec, data, tmp_path)
    network = build(spec.network, 10).double()
    initialise(network, "kwi", spec.seed)
    optimizer = torch.optim.SGD(network.parameters(), momentum=0.9)
    cpu = torch.device("cpu")
    normalise = Normalisation(data.channel_mean, data.channel_std, cpu, torch.float64)
    batches = TrainingBatches(
        torch.from_numpy(data.train_images),
        torch.from_numpy(data.train_labels),
        normalise,
        batch_size=16,
        crop_padding=1,
        horizontal_flip=True,
        seed=spec.seed,
    )

    def weight_term() -> Tensor:
        squares = sum(p.square().sum() for p in network.parameters() if p.dim() > 1)
        entries = [
            block.conv.weight[o, o % block.conv.weight.shape[1], 1, 1]
            for block in network.blocks()
            for o in range(block.conv.weight.shape[0])
        ]
        return 0.3 / 16 / 2 * (squares + sum((e + 1).square() - e.square() for e in entries))

    for epoch, row in enumerate(history(files), start=1):
        # Two of three epochs come before the middle of the training.
        rate = optimizer.param_groups[0]["lr"] = 0.05 if epoch <= 2 else 0.005
        losses = wrong = 0.0
        for inputs, labels in batches.epoch(epoch):
            optimizer.zero_grad()
            logits = network(inputs.contiguous())
            risk = F.cross_entropy(logits, labels)
            (risk + weight_term()).backward()
            optimizer.step()
            losses += risk.item() * len(labels)
            wrong += (logits.argmax(1) != labels).sum().item()
        with torch.no_grad():
            logits = network(normalise(torch.from_numpy(data.test_images)))
        targets = torch.from_numpy(data.test_labels)
        expected = {
            "epoch": epoch,
            "lr": rate,
            "risk": losses / TRAIN,
            "cost": losses / TRAIN + weight_term().item(),
            "train_error": wrong / TRAIN,
            "test_loss": F.cross_entropy(logits, targets).item(),
            "test_error": (logits.argmax(1) != targets).double().mean().item(),
        }
        found = {name: float(row[name]) for name in expected}
        assert found == pytest.approx(expected, rel=1e-9)
        assert row["status"] == "ok"
    trained = network.state_dict()
    for name, array in weights(files).items():
        assert array.dtype == np.float64
        np.testing.assert_allclose(array, trained[name], rtol=1e-8, atol=1e-11, err_msg=name)


@pytest.mark.parametrize(
    ("precision", "dtype"), [("float32", "f4"), ("float64", "f8"), ("bfloat16", "f4")]
)
@pytest.mark.parametrize("architecture", ["residual", "full-residual"])
def test_each_precision_trains_weights_of_its_type_to_nearby_numbers(
    architecture: str, precision: str, dtype: str, data: Dataset, tmp_path: Path
) -> None:
    recipe = {"epochs": 1, "batch_size": TRAIN, "learning_rate": 0.01}
    exact = train(run_spec(architecture, precision="float64", **recipe), data, tmp_path / "exact")
    files = train(run_spec(architecture, precision=precision, **recipe), data, tmp_path / "this")
    assert record(files)["status"] == "done"
    for name, array in weights(files).items():
        if array.dtype != np.int64:
            assert array.dtype == np.dtype(dtype), name
    error = {"float32": 1e-6, "float64": 0.0, "bfloat16": 1e-2}[precision]
    risks = [float(history(f)[0]["risk"]) for f in (files, exact)]
    difference = abs(risks[0] - risks[1]) / risks[1]
    assert difference <= error
    # Autocast is on: eight bits of precision show.
    assert (difference > 1e-6) == (precision == "bfloat16")


def test_compiled_training_gives_the_same_numbers(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = train(run_spec(epochs=1), data, tmp_path / "usual")
    graphs = []

    def keep(graph: torch.fx.GraphModule, _inputs: list[Tensor]) -> Callable[..., Any]:
        graphs.append(graph)
        return graph.forward

    # Everything but code generation, which takes a minute.
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=keep, fullgraph=True))
    compiled = train(run_spec(epochs=1, compile=True), data, tmp_path / "compiled")
    assert graphs
    assert equal(weights(compiled), weights(usual))
    assert history(compiled) == history(usual)


def test_snapshots_are_the_weights_of_their_moment(data: Dataset, tmp_path: Path) -> None:
    spec = run_spec("full-residual", milestones=(), snapshot_epochs=(1, 3))
    files = train(spec, data, tmp_path / "three")
    found = snapshots(files)
    assert found.keys() == {"initial", "iteration1", "epoch1", "epoch3"}
    network = build(spec.network, 10)
    initialise(network, "kwi", spec.seed)
    assert equal(found["initial"], checkpoint.copy_weights(network))
    assert equal(found["epoch3"], weights(files))
    one = train(run_spec("full-residual", milestones=(), epochs=1), data, tmp_path / "one")
    assert equal(found["epoch1"], weights(one))
    moments = [found[label]["conv1.weight"] for label in ("initial", "iteration1", "epoch1")]
    assert not np.array_equal(moments[0], moments[1])
    assert not np.array_equal(moments[1], moments[2])
    assert found["iteration1"]["bn1.num_batches_tracked"] == 1
    assert found["epoch1"]["bn1.num_batches_tracked"] == 4


def test_the_first_iteration_s_snapshot_is_one_step_from_the_start(
    data: Dataset, tmp_path: Path
) -> None:
    # With one batch an epoch the first iteration is the first epoch.
    files = train(run_spec(batch_size=TRAIN, epochs=1), data, tmp_path)
    assert equal(snapshots(files)["iteration1"], weights(files))
    assert not equal(snapshots(files)["initial"], weights(files))


def test_the_record_says_what_was_run(data: Dataset, tmp_path: Path) -> None:
    spec = run_spec("full-plain")
    files = train(spec, data, tmp_path)
    facts = record(files)
    assert RunSpec.from_dict(facts["spec"]) == spec
    assert (facts["data_digest"], facts["code_digest"]) == (data.digest, "code")
    assert (facts["status"], facts["diverged_at"], facts["epochs_done"]) == ("done", None, EPOCHS)
    trainable = build(spec.network, 10).parameters()
    assert facts["parameters"] == sum(parameter.numel() for parameter in trainable)
    (session,) = facts["sessions"]
    assert session["first_epoch"] == 1
    assert (session["device"], session["threads"]) == ("cpu", 1)
    assert 0 < session["seconds"] == facts["seconds"]
    for file in (files.weights, files.snapshots):
        identity = {"spec": spec.to_json(), "data": data.digest, "code": "code"}
        assert tensorfile.load(file)[1] == identity


def corrupt(file: Path) -> None:
    torn = bytearray(file.read_bytes())
    torn[-9] ^= 1
    file.write_bytes(torn)


def shorten(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-9])


def test_short_epochs_are_saved_for_a_part_in_twenty_of_the_time(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An epoch takes a second here, and saving it 0.11 seconds: it is saved every third time."""
    clock, saved = [0.0], []

    class Second(Observer):
        def on_epoch_start(self, runs: Sequence[Run], epoch: int) -> None:
            clock[0] += 1

    def save(path: Path, states: Sequence[State], *_: Any) -> None:
        clock[0] += 0.11
        saved.append(states[0].epoch)

    monkeypatch.setattr(loop, "_SAVED_EVERY", 20)
    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    monkeypatch.setattr(checkpoint, "save", save)
    files = RunFiles.in_folder(tmp_path)
    spec = run_spec(epochs=8)
    options = {"device": "cpu", "threads": 1, "code": "code"}
    loop.train([spec], data, [files], observers=[Second()], **options)
    assert saved == [1, 4, 7]
    assert [row["epoch"] for row in history(files)] == [*"12345678"]


@pytest.mark.parametrize("damage", [corrupt, shorten])
def test_a_torn_checkpoint_is_refused_and_the_run_starts_anew(
    damage: Callable[[Path], None],
    data: Dataset,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    whole = train(run_spec(), data, tmp_path / "whole")
    files = stop_after(2, run_spec(), data, tmp_path / "torn")
    damage(files.checkpoint)
    with caplog.at_level(logging.WARNING):
        train(run_spec(), data, tmp_path / "torn")
    assert "checkpoint refused, starting over" in caplog.text
    assert "resume.safetensors" in caplog.text
    assert [session["first_epoch"] for session in record(files)["sessions"]] == [1]
    assert result(files) == result(whole)


@pytest.mark.parametrize("different", ["spec", "data", "code"])
def test_the_checkpoint_of_another_run_is_refused_and_the_run_starts_anew(
    different: str, data: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = train(run_spec(), data, tmp_path / "whole")
    files = stop_after(
        2,
        run_spec(seed=2 if different == "spec" else 1),
        dataclasses.replace(data, digest="0" * 64) if different == "data" else data,
        tmp_path / "other",
        code="other" if different == "code" else "code",
    )
    with caplog.at_level(logging.WARNING):
        train(run_spec(), data, tmp_path / "other")
    assert f"starting over: it belongs to another run (different {different})" in caplog.text
    assert [session["first_epoch"] for session in record(files)["sessions"]] == [1]
    assert result(files) == result(whole)


def test_another_file_of_the_run_is_no_checkpoint(
    data: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = train(run_spec(), data, tmp_path)
    whole = result(files)
    files.weights.rename(files.checkpoint)
    assert result(train(run_spec(), data, tmp_path)) == whole
    assert "belongs to another run" in caplog.text


def test_a_resumed_run_keeps_its_number_of_threads(
    data: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spec = run_spec(epochs=2, batch_size=TRAIN)
    stop_after(1, spec, data, tmp_path, threads=2)
    torch.set_num_threads(1)
    with caplog.at_level(logging.INFO):
        files = train(spec, data, tmp_path, threads=1)
    assert torch.get_num_threads() == 2
    assert [session["threads"] for session in record(files)["sessions"]] == [2, 2]
    assert "using 2 threads, as when the run was started" in caplog.text
    assert "continuing after epoch 1 of 2" in caplog.text


def first_infinite_loss(spec: RunSpec, data: Dataset) -> int:
    """Return the number of the first step of epoch 1 whose loss is not finite."""
    network = build(spec.network, 10)
    initialise(network, "kwi", spec.seed)
    rate = spec.recipe.learning_rate
    optimizer = torch.optim.SGD(network.parameters(), lr=rate, momentum=0.9)
    cpu = torch.device("cpu")
    batches = TrainingBatches(
        torch.from_numpy(data.train_images),
        torch.from_numpy(data.train_labels),
        Normalisation(data.channel_mean, data.channel_std, cpu, torch.float32),
        batch_size=spec.recipe.batch_size,
        crop_padding=1,
        horizontal_flip=True,
        seed=spec.seed,
    )
    for step, (inputs, labels) in enumerate(batches.epoch(1), start=1):
        optimizer.zero_grad()
        loss = F.cross_entropy(network(inputs), labels)
        if not math.isfinite(loss.item()):
            return step
        loss.backward()
        optimizer.step()
    raise AssertionError("all losses are finite")


def test_divergence_is_recorded_with_epoch_and_step(
    data: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spec = run_spec(learning_rate=1e20, penalty=0.0, batch_size=4, snapshot_epochs=(2,))
    step = first_infinite_loss(spec, data)
    assert 1 < step < TRAIN / 4
    files = train(spec, data, tmp_path)
    facts = record(files)
    assert facts["status"] == "diverged"
    assert facts["diverged_at"] == {"epoch": 1, "step": step}
    assert facts["epochs_done"] == 1
    (row,) = history(files)
    assert (row.pop("epoch"), row.pop("lr"), row.pop("status")) == ("1", "1e+20", "diverged")
    assert set(row.values()) == {"nan"}
    assert snapshots(files).keys() == {"initial", "iteration1"}
    assert not equal(weights(files), snapshots(files)["initial"])
    assert not files.checkpoint.exists()
    assert f"diverged: epoch 1, loss not finite at step {step}" in caplog.text


def test_divergence_that_only_the_test_set_shows_is_recorded(data: Dataset, tmp_path: Path) -> None:
    files = train(run_spec(learning_rate=1e30, batch_size=TRAIN), data, tmp_path)
    assert record(files)["diverged_at"] == {"epoch": 1, "step": 1}
    assert history(files)[-1]["status"] == "diverged"


def test_divergence_in_a_later_epoch_keeps_the_rows_before(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calm = train(run_spec(), data, tmp_path / "calm")
    monkeypatch.setattr(run_module, "learning_rate", lambda _recipe, e: 1e30 if e == 3 else 0.05)
    # Weights that are no numbers are not among those that are measured.
    spec = run_spec(snapshot_epochs=(2, 3))
    files = train(spec, data, tmp_path / "whole")
    assert snapshots(files).keys() == {"initial", "iteration1", "epoch2"}
    assert record(files)["diverged_at"]["epoch"] == 3
    assert [row["status"] for row in history(files)] == ["ok", "ok", "diverged"]
    assert history(files)[0] == history(calm)[0]
    stop_after(2, spec, data, tmp_path / "stopped")
    stopped = train(spec, data, tmp_path / "stopped")
    assert record(stopped)["diverged_at"] == record(files)["diverged_at"]
    assert history(stopped) == history(files)


def train_in_step(specs: list[RunSpec], data: Dataset, folders: list[Path]) -> list[RunFiles]:
    files = [RunFiles.in_folder(folder) for folder in folders]
    loop.train(specs, data, files, device="cpu", threads=1, code="code")
    return files


def test_runs_that_are_trained_in_step_end_as_each_does_alone(
    data: Dataset, tmp_path: Path
) -> None:
    specs = [run_spec("plain"), run_spec("full-residual", seed=2, precision="float64")]
    found = train_in_step(specs, data, [tmp_path / "one", tmp_path / "two"])
    for spec, files in zip(specs, found, strict=True):
        alone = train(spec, data, tmp_path / "alone" / spec.network.architecture)
        assert result(files) == result(alone)


def test_a_run_that_diverges_ends_those_that_are_trained_in_step_with_it(
    data: Dataset, tmp_path: Path
) -> None:
    specs = [run_spec(), run_spec(learning_rate=1e30)]
    for files in train_in_step(specs, data, [tmp_path / "calm", tmp_path / "wild"]):
        assert record(files)["status"] == "diverged"
        assert [row["status"] for row in history(files)] == ["diverged"]


@pytest.mark.parametrize("recipe", [{"epochs": EPOCHS + 1}, {"batch_size": 10}])
def test_runs_of_different_length_are_not_trained_in_step(
    data: Dataset, tmp_path: Path, recipe: dict[str, int]
) -> None:
    specs = [run_spec(), run_spec(**recipe)]
    with pytest.raises(ValueError, match="cannot be trained in step"):
        train_in_step(specs, data, [tmp_path / "one", tmp_path / "two"])


def evaluate(files: RunFiles, data: Dataset) -> list[dict[str, str]]:
    output = files.record.with_name("evaluation.csv")
    run = trained.read(files.record.parent, data)
    measure_run(run, EvaluationSpec(), [output], Computing("cpu"))
    with output.open(newline="") as stream:
        return list(csv.DictReader(stream))


MEASURES = ("risk", "weight_term", "cost", "train_error", "test_loss", "test_error")
KEYS = ["architecture", "depth", "initialisation", "seed", "parameters", "snapshot", "status"]
KEYS += MEASURES


def test_the_evaluation_of_a_diverged_run_has_empty_numbers(data: Dataset, tmp_path: Path) -> None:
    initial, final = evaluate(train(run_spec(learning_rate=1e20), data, tmp_path), data)
    assert (initial["snapshot"], initial["status"]) == ("initial", "ok")
    assert all(math.isfinite(float(initial[name])) for name in MEASURES)
    assert (final["snapshot"], final["status"]) == ("final", "diverged")
    assert {final[name] for name in MEASURES} == {""}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_evaluation_is_that_of_each_picture_by_itself(
    architecture: str, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "BATCH", 17)
    spec = run_spec(architecture, precision="float64")
    files = train(spec, data, tmp_path)
    rows = evaluate(files, data)
    for row, arrays in zip(rows, (snapshots(files)["initial"], weights(files)), strict=True):
        assert list(row) == KEYS
        network = build(spec.network, 10).double().eval()
        checkpoint.set_weights(network, arrays)
        expected = {}
        for part, (pictures, labels) in data.parts().items():
            inputs = (pictures / 255 - data.channel_mean) / data.channel_std
            x = torch.from_numpy(inputs).permute(0, 3, 1, 2)
            with torch.no_grad():
                logits = torch.cat([network(picture[None]) for picture in x])
            chosen = logits.log_softmax(1)[range(len(labels)), labels]
            expected[part] = -chosen.mean().item(), np.mean(logits.argmax(1).numpy() != labels)
        assert float(row["risk"]) == pytest.approx(expected["train"][0], rel=1e-11)
        assert float(row["test_loss"]) == pytest.approx(expected["test"][0], rel=1e-11)
        assert float(row["train_error"]) == expected["train"][1]
        assert float(row["test_error"]) == expected["test"][1]
        assert float(row["cost"]) == float(row["risk"]) + float(row["weight_term"])
    trained = {name: array for name, array in weights(files).items() if "running" not in name}
    count = sum(array.size for name, array in trained.items() if "num_batches" not in name)
    assert {row["parameters"] for row in rows} == {f"{count}"}
    # The history's last row was measured in the same way; its cost has the risk as trained on.
    last = history(files)[-1]
    assert (rows[1]["test_loss"], rows[1]["test_error"]) == (last["test_loss"], last["test_error"])
    term = float(last["cost"]) - float(last["risk"])
    assert float(rows[1]["weight_term"]) == pytest.approx(term, rel=1e-9)
    assert [row["snapshot"] for row in rows] == ["initial", "final"]


@pytest.mark.parametrize("architecture", ["residual", "full-residual"])
def test_the_risk_after_each_epoch_can_be_that_of_the_training_set(
    architecture: str, data: Dataset, tmp_path: Path
) -> None:
    """Rows have what an evaluation of the weights of their epoch gives; weights do not change."""
    usual = train(run_spec(architecture), data, tmp_path / "usual")
    clean = train(run_spec(architecture, epoch_risk="training-set"), data, tmp_path / "clean")
    assert equal(weights(clean), weights(usual))
    for epochs in range(1, EPOCHS + 1):
        spec = run_spec(architecture, epochs=epochs, milestones=())
        row = history(train(replaced(spec, "training-set"), data, tmp_path / f"clean{epochs}"))[-1]
        final = evaluate(train(spec, data, tmp_path / f"{epochs}"), data)[1]
        for name in ("risk", "cost", "train_error", "test_error"):
            assert float(row[name]) == pytest.approx(float(final[name]), rel=1e-9)
    assert history(usual)[-1]["risk"] != history(clean)[-1]["risk"]


def replaced(spec: RunSpec, epoch_risk: str) -> RunSpec:
    """Return a run whose history has another kind of risk."""
    return dataclasses.replace(spec, recipe=dataclasses.replace(spec.recipe, epoch_risk=epoch_risk))


def test_the_evaluation_refuses_other_data_and_damaged_files(data: Dataset, tmp_path: Path) -> None:
    files = train(run_spec(epochs=1), data, tmp_path)
    with pytest.raises(ResnoiseError, match=r"run\.json: the run was trained on other data"):
        evaluate(files, dataclasses.replace(data, digest="0" * 64))
    for file in (files.weights, files.snapshots):
        whole = file.read_bytes()
        corrupt(file)
        with pytest.raises(ResnoiseError, match=f"{file.name}: content has SHA-256"):
            evaluate(files, data)
        file.write_bytes(whole)
    for text in ("", "{", "[]", "{}", '{"spec": 1, "status": "done", "data_digest": ""}'):
        files.record.write_text(text)
        with pytest.raises(ResnoiseError, match=r"run\.json: .*delete it and rerun"):
            evaluate(files, data)
    files.record.unlink()
    with pytest.raises(ResnoiseError, match=r"run\.json: cannot be read"):
        evaluate(files, data)


def test_a_batch_larger_than_the_training_set_is_an_error(data: Dataset, tmp_path: Path) -> None:
    message = f"batch_size: {TRAIN + 1} given, allowed: at most the {TRAIN} training pictures"
    with pytest.raises(ResnoiseError, match=message):
        train(run_spec(batch_size=TRAIN + 1), data, tmp_path)
    assert not [*tmp_path.iterdir()]


def test_a_missing_cuda_device_is_an_error() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        with pytest.raises(ResnoiseError, match="finds no CUDA device; use auto or cpu"):
            devices.set_up("cuda", 1)
        patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        assert devices.set_up("auto", 1) == torch.device("cpu")
        # A job that was given a card would keep it idle for days.
        patch.setenv("CUDA_VISIBLE_DEVICES", "3")
        with pytest.raises(ResnoiseError, match="gives this job the card 3, but PyTorch finds no"):
            devices.set_up("auto", 1)
        assert devices.set_up("cpu", 1) == torch.device("cpu")
        for no_card in ("-1", "NoDevFiles", ""):
            patch.setenv("CUDA_VISIBLE_DEVICES", no_card)
            assert devices.set_up("auto", 1) == torch.device("cpu")
    with pytest.raises(ResnoiseError, match="'gpu' given, allowed: auto, cpu, cuda"):
        devices.set_up("gpu", 1)


def test_evaluation_counts_errors_and_losses_whatever_the_chunk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    numbers = torch.Generator().manual_seed(1)
    table = torch.randn(256, 7, generator=numbers)
    pictures = torch.arange(23, dtype=torch.uint8).view(23, 1, 1, 1)
    labels = torch.arange(23) % 7
    exact = table[:23].double()
    loss = -exact.log_softmax(1)[range(23), labels].mean().item()
    error = (exact.argmax(1) != labels).double().mean().item()
    for chunk in (1, 5, 23, 500):
        monkeypatch.setattr(evaluation, "BATCH", chunk)
        found = evaluation.evaluate(
            lambda x: table[x.flatten().long()], pictures, labels, lambda x: x
        )
        assert found == pytest.approx((loss, error), rel=1e-12)


def test_training_leaves_evaluation_mode_to_evaluation(data: Dataset, tmp_path: Path) -> None:
    modes = []

    class Probe(nn.Identity):
        def forward(self, x: Tensor) -> Tensor:
            modes.append((self.training, torch.is_grad_enabled(), len(x)))
            return x

    def with_probe(*arguments: Any) -> nn.Module:
        network = build(*arguments)
        network.layer1.append(Probe())
        return network

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(initialisations, "build", with_probe)
        train(run_spec("full-residual", epochs=2), data, tmp_path)
    batches = [(True, True, 16)] * 3 + [(True, True, TRAIN - 48)]
    assert modes == [*batches, (False, False, TEST)] * 2


def test_a_second_process_waits_and_takes_the_finished_run(
    data: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    files = train(run_spec(), data, tmp_path)
    before = files.record.read_bytes()
    with exclusive(tmp_path):
        second = threading.Thread(target=train, args=(run_spec(), data, tmp_path))
        second.start()
        while "another process is writing here, waiting" not in caplog.text:
            second.join(0.05)
            assert second.is_alive()
    second.join()
    assert "the other process has finished the training" in caplog.text
    assert files.record.read_bytes() == before


def test_a_second_process_trains_what_the_first_did_not_finish(
    data: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = result(train(run_spec(), data, tmp_path / "whole"))
    folder = tmp_path / "waits"
    stop_after(1, run_spec(), data, folder)
    with exclusive(folder):
        second = threading.Thread(target=train, args=(run_spec(), data, folder))
        second.start()
        while "another process is writing here, waiting" not in caplog.text:
            second.join(0.05)
            assert second.is_alive()
    second.join()
    assert result(RunFiles.in_folder(folder)) == whole
