"""Twins: a residual network and its equivalent plain one stay equal to rounding (section 4.1)."""

import dataclasses
import threading
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from resnoise.config import load as config
from resnoise.data import dataset as datasets
from resnoise.data.dataset import Dataset
from resnoise.data.prepare import prepare
from resnoise.errors import ResnoiseError
from resnoise.initialisations import initialise
from resnoise.live import states
from resnoise.live.jobs import Job, Plan
from resnoise.networks import build
from resnoise.networks.transfer import to_plain
from resnoise.plan.specs import recipe_spec
from resnoise.specs.run import DataSpec, NetworkSpec, RunSpec, plain_twin
from resnoise.storage import tensorfile
from resnoise.storage.files import exclusive
from resnoise.training import checkpoint, loop, twins
from resnoise.training.run import RunFiles

RECIPE = dataclasses.replace(
    recipe_spec(config.load({}), "plain"),
    epochs=3,
    batch_size=20,
    learning_rate=0.01,
    precision="float64",
)
RESIDUAL = RunSpec(NetworkSpec("residual", 8, 16), "hmwi", 1, RECIPE)
PLAIN = plain_twin(RESIDUAL)

pytestmark = pytest.mark.usefixtures("saved_after_every_epoch")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    path = tmp_path_factory.mktemp("data") / "data.safetensors"
    samples, digest = prepare(DataSpec("digits", None, 5, 3, 0), None)
    datasets.save(path, samples, digest)
    return datasets.load(path)


def train(
    data: Dataset, folder: Path, plain: RunSpec = PLAIN, every: int = 2, masks: int = 4
) -> pd.DataFrame:
    """Train twins in ``folder`` and return their drift."""
    drift = folder / "drift.csv"
    recorder = twins.DriftRecorder(drift, every_step_epochs=every, mask_pictures=masks)
    loop.train(
        [RESIDUAL, plain],
        data,
        [RunFiles.in_folder(folder / name) for name in ("residual", "plain")],
        device="cpu",
        threads=1,
        code="code",
        observers=[recorder],
    )
    return pd.read_csv(drift)


def weights(folder: Path, name: str) -> dict[str, torch.Tensor]:
    arrays, _, _ = tensorfile.load(folder / name / "weights.safetensors")
    return {key: torch.from_numpy(array) for key, array in arrays.items()}


def test_twins_stay_equal_to_rounding_and_learn(data: Dataset, tmp_path: Path) -> None:
    drift = train(data, tmp_path)
    # 50 pictures in batches of 20: three steps an epoch, of the third epoch the last one.
    assert list(drift["step"]) == [1, 2, 3, 4, 5, 6, 9]
    assert (drift["weight_difference"] < 1e-13).all()
    assert (drift["risk_difference"] < 1e-13).all()
    assert (drift["weight_difference"] > 0).any()
    residual, plain = weights(tmp_path, "residual"), weights(tmp_path, "plain")
    largest = max(float((w - plain[n]).abs().max()) for n, w in to_plain(residual).items())
    assert largest == drift["weight_difference"].iloc[-1]
    start = tensorfile.load(tmp_path / "plain" / "snapshots.safetensors")[0]
    moved = max(
        float((w - torch.from_numpy(start[f"initial/{n}"])).abs().max()) for n, w in plain.items()
    )
    assert moved > 1e-3


def kill(data: Dataset, folder: Path) -> None:
    """Train twins in ``folder`` up to the checkpoint after epoch 2."""
    saved = checkpoint.save

    def save(path: Path, states: list[checkpoint.State], *arguments: Any) -> None:
        saved(path, states, *arguments)
        if states[0].epoch == 2:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(checkpoint, "save", save)
        train(data, folder)


def test_a_killed_training_ends_with_the_same_bits(data: Dataset, tmp_path: Path) -> None:
    whole = train(data, tmp_path / "whole")
    kill(data, tmp_path / "killed")
    assert not (tmp_path / "killed" / "drift.csv").exists()
    pd.testing.assert_frame_equal(train(data, tmp_path / "killed"), whole, check_exact=True)
    for name in ("residual", "plain"):
        one, two = weights(tmp_path / "whole", name), weights(tmp_path / "killed", name)
        assert all(torch.equal(one[key], two[key]) for key in one)
    assert not list((tmp_path / "killed").rglob("resume*"))


def train_after_another(
    data: Dataset, folder: Path, caplog: pytest.LogCaptureFixture, masks: int = 4
) -> None:
    """Train twins in a folder that another process holds until they wait for it."""
    with exclusive(folder / "residual"):
        second = threading.Thread(target=train, args=(data, folder), kwargs={"masks": masks})
        second.start()
        while "another process is writing here, waiting" not in caplog.text:
            second.join(0.05)
            assert second.is_alive()
    second.join()


@pytest.mark.parametrize("masks", [4, 5])
def test_a_second_process_takes_finished_twins_of_the_same_drift(
    data: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture, masks: int
) -> None:
    caplog.set_level("INFO")
    train(data, tmp_path)
    records = [tmp_path / name / "run.json" for name in ("residual", "plain")]
    before = [file.read_bytes() for file in records]
    train_after_another(data, tmp_path, caplog, masks)
    same = masks == 4
    assert ("the other process has finished the training" in caplog.text) == same
    assert ([file.read_bytes() for file in records] == before) == same


def test_a_second_process_trains_twins_whose_drift_is_damaged(
    data: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = train(data, tmp_path)
    with (tmp_path / "drift.csv").open("a") as file:
        file.write("0")
    train_after_another(data, tmp_path, caplog)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "drift.csv"), whole)


def test_the_live_view_knows_whether_a_killed_training_would_continue(
    data: Dataset, tmp_path: Path
) -> None:
    kill(data, tmp_path)
    plan = Plan(RESIDUAL, "code", "2 4")
    job = Job("twins-8", "hmwi", 1, tmp_path / "residual", tmp_path / "none.log", plan)

    def look(**changes: Any) -> tuple[states.State, float]:
        changed = dataclasses.replace(job, plan=dataclasses.replace(plan, **changes))
        now = states.file_system_time(tmp_path) + 1e6
        status = states.status(changed, states.Files(), now)
        return status.state, status.progress

    assert look() == (states.State.STOPPED, 2)
    for changes in ({"code": "other"}, {"drift": "2 5"}, {"spec": PLAIN}):
        assert look(**changes) == (states.State.OUTDATED, 0)


def test_the_plain_twin_differs_in_architecture_and_initialisation_only() -> None:
    assert RunSpec(NetworkSpec("plain", 8, 16), "t-hmwi", 1, RECIPE) == PLAIN


@pytest.mark.parametrize(
    "spec", [PLAIN, dataclasses.replace(RESIDUAL, initialisation="kwi")], ids=["plain", "kwi"]
)
def test_a_run_without_a_plain_twin_is_refused(spec: RunSpec) -> None:
    with pytest.raises(ResnoiseError, match="given to be trained with its plain twin, allowed: "):
        plain_twin(spec)


def test_another_start_is_seen_at_once(data: Dataset, tmp_path: Path) -> None:
    drift = train(data, tmp_path, dataclasses.replace(PLAIN, initialisation="kwi"), every=1)
    assert (drift["weight_difference"] > 1e-2).all()
    assert (drift["mask_layer"] > 0).all()


def test_mask_differences_count_by_brute_force() -> None:
    networks = [build(NetworkSpec("plain", 8, 4), 10).double() for _ in range(2)]
    for seed, network in enumerate(networks):
        initialise(network, "kwi", seed)
    inputs = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    masks = []
    for network in networks:
        x = torch.relu(network.conv1(inputs))
        found = [x > 0]
        for block in network.blocks():
            x = block(x)
            found.append(x > 0)
        masks.append(found)
    expected = [int((one ^ two).sum()) for one, two in zip(*masks, strict=True)]
    own = [list(network.parameters()) for network in networks]
    outputs = [twins.layer_outputs(*pair, inputs) for pair in zip(networks, own, strict=True)]
    assert twins.mask_differences(*outputs) == expected
    assert sum(twins.mask_differences(outputs[0], outputs[0])) == 0
    for network, found in zip(networks, outputs, strict=True):
        x = network.conv1(inputs)
        assert torch.equal(found[0], x)
        assert torch.equal(found[1], next(network.blocks())(torch.relu(x)))


def test_the_difference_of_the_second_outputs_is_that_of_the_weights_before_a_step(
    data: Dataset, tmp_path: Path
) -> None:
    """Twins differ by rounding after a step, and networks that start elsewhere by more at once."""
    drift = train(data, tmp_path / "twins", every=1)
    assert drift["second_output_difference"].iloc[0] < 1e-13
    assert 0 < drift["second_output_difference"].iloc[1] < 1e-12
    other = dataclasses.replace(PLAIN, initialisation="kwi")
    drift = train(data, tmp_path / "others", other, every=1)
    assert drift["second_output_difference"].iloc[0] > 1e-3
