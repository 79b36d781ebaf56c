"""Checks of training: right gradients, the same bits every time, and no more memory than needed."""

import dataclasses
import math
import os
import signal
import subprocess
import sys
from typing import Any

import examples
import numpy as np
import torch
from registry import Place, check
from torch import Tensor

from resnoise import devices, provenance, registry
from resnoise.data.dataset import Dataset
from resnoise.specs.run import RunSpec, plain_twin
from resnoise.training import checkpoint
from resnoise.training.loop import train
from resnoise.training.run import Epoch, Run, RunFiles
from resnoise.training.twins import DriftRecorder
from resnoise.training.update import cuda_graph

ARCHITECTURES = tuple(registry.ARCHITECTURES)
# Networks that this project's fused kernels compute.
FUSED = ("plain triton", "residual triton")
CPU = torch.device("cpu")
# Allowed relative errors of all gradients together. Float32 has a rounding error of 6e-8, and TF32,
# which must be off, one of 5e-4.
ALLOWED = {"float32": 1e-5, "float64": 1e-11}
# An activation that rounding moves across 0 may cost more than this in one mini-batch of a plain
# network; wrong code costs it in each of so many.
MINI_BATCHES = 6
# Where in float32 an activation that rounding moves across 0 decides, with batch normalisation by
# far: what orders of summation on a CPU differ by, and room for those of a card.
ALLOWED_FLOAT32 = {
    "full-plain": 5e-2,
    "full-residual": 5e-3,
    "dominant-path": 1e-4,
    "dominant-path-lower-full": 1e-4,
}


def threads(place: Place) -> int:
    """Return how many threads the CPU's part of a comparison may use: one in a rehearsal."""
    return min(4, os.cpu_count() or 1) if place.device.type == "cuda" else 1


def gradients(run: Run, inputs: Tensor, labels: Tensor) -> Tensor:
    """Return the gradients of all parameters of a run in one vector, float64 on the CPU."""
    run.backend.loss_and_gradients(inputs, labels)
    parts = [p.grad.flatten() for p in run.network.parameters() if p.grad is not None]
    return torch.cat(parts).double().cpu()


def relative_error(found: Tensor, right: Tensor) -> float:
    """Return ||found - right|| / ||right||; not a number if ``found`` has such values."""
    return float((found - right).norm() / right.norm())


def run_spec(case: str, place: Place, **changes: Any) -> RunSpec:
    """Return the run of an architecture, or of one and the word "triton"; see ``examples``.

    In a rehearsal PyTorch computes it, because there are no fused kernels for a CPU.
    """
    architecture, _, fused = case.partition(" ")
    backend = "triton" if fused and place.device.type == "cuda" else "torch"
    return examples.run_spec(architecture, **{"conv_backend": backend, **changes})


def check_backend(case: str, place: Place, files: RunFiles) -> None:
    """Check that a run was computed by what was asked for."""
    used = examples.record(files)["sessions"][-1]["conv_backend"]
    assert used == run_spec(case, place).recipe.conv_backend, used


@check(*ARCHITECTURES, *FUSED)
def gradients_are_those_of_float64(place: Place, case: str) -> str:
    """Compare float32 and float64 gradients at depth 20 with those of float64 on the CPU.

    The first mini-batch counts in which both are near enough.
    """
    # Fused kernels treat larger mini-batches, such as those of training, by other code.
    count = 64 if case in FUSED and place.device.type == "cuda" else 32
    data = examples.pictures(place.folder, MINI_BATCHES * count, 10)
    device = devices.set_up(place.device.type, threads(place))

    def run(where: torch.device, precision: str) -> Run:
        own = Place(where, place.folder)
        spec = run_spec(case, own, depth=20, precision=precision, batch_size=count)
        return Run(spec, data, where, None)

    runs = {
        (where.type, precision): run(where, precision)
        for where in {CPU, device}
        for precision in ALLOWED
    }
    used = runs[device.type, "float32"]
    assert used.backend.name == used.spec.recipe.conv_backend, used.backend.name
    rounded = runs["cpu", "float32"].state.weights
    for one in runs.values():
        checkpoint.set_weights(one.network, rounded)
    allowed = {**ALLOWED, "float32": ALLOWED_FLOAT32.get(case, ALLOWED["float32"])}
    measured = []
    for inputs, labels in runs["cpu", "float32"].batches.epoch(1):
        # One class: with all of them, the gradient is a small difference of large parts, because
        # such a network says almost the same about every picture.
        same = torch.zeros_like(labels)
        found = {
            key: gradients(one, inputs.to(key[0], one.normalise.dtype), same.to(key[0]))
            for key, one in runs.items()
        }
        right = found["cpu", "float64"]
        errors = {name: relative_error(found[device.type, name], right) for name in ALLOWED}
        measured.append(", ".join(f"{name} {error:.1e}" for name, error in errors.items()))
        if all(errors[name] < allowed[name] for name in ALLOWED):
            return "; ".join(measured)
    raise AssertionError(f"relative errors {'; '.join(measured)}, allowed {allowed}")


@check(*FUSED)
def logits_are_those_of_float64(place: Place, case: str) -> str:
    """Compare the logits of many pictures at once, as in evaluation, with those on the CPU."""
    count = 512 if place.device.type == "cuda" else 20
    data = examples.pictures(place.folder, count, 10)
    device = devices.set_up(place.device.type, threads(place))
    run = Run(run_spec(case, place, depth=20), data, device, None)
    exact = Run(run_spec(case, place, depth=20, precision="float64"), data, CPU, None)
    checkpoint.set_weights(exact.network, run.state.weights)
    pictures = torch.from_numpy(data.train_images)
    with torch.no_grad():
        found = run.backend.logits(run.normalise(pictures.to(device))).double().cpu()
        right = exact.network(exact.normalise(pictures))
    error = relative_error(found, right)
    assert error < ALLOWED["float32"], f"relative error {error:.1e}"
    return f"{error:.1e} of {count} pictures"


@check(*ARCHITECTURES, *FUSED)
def two_runs_give_the_same_bits(place: Place, case: str) -> str:
    """Train twice, each operation called anew."""
    data = examples.pictures(place.folder, 150, 50)
    spec = run_spec(case, place)
    one, two = (
        examples.trained(spec, data, place.folder / name, place.device.type)
        for name in ("one", "two")
    )
    assert examples.result(one) == examples.result(two)
    check_backend(case, place, one)
    return risks(one)


@check(*ARCHITECTURES, *FUSED)
def a_replayed_graph_gives_the_same_bits(place: Place, case: str) -> str:
    """Train with and without a CUDA graph, with another rate from epoch 4 and a smaller batch."""
    data = examples.pictures(place.folder, 150, 50)
    spec = run_spec(case, place, epochs=6)
    usual, replayed = (
        examples.trained(spec, data, place.folder / str(graph), place.device.type, cuda_graph=graph)
        for graph in (False, True)
    )
    assert examples.result(usual) == examples.result(replayed)
    check_backend(case, place, replayed)
    return risks(replayed)


def risks(files: RunFiles) -> str:
    """Return the training risk after each epoch, in words."""
    return "risk " + " ".join(f"{float(row['risk']):.4f}" for row in examples.history(files))


@check("eager", "replayed")
def a_killed_run_continues_to_the_same_bits(place: Place, mode: str) -> str:
    """Kill the script while it trains, start it again, and compare with an uninterrupted run."""
    examples.pictures(place.folder, 60, 20, side=8)
    spec = examples.run_spec("full-residual", epochs=100, batch_size=16, crop_padding=1)
    whole, killed = (RunFiles.in_folder(place.folder / name) for name in ("whole", "killed"))
    options = ["--cuda-graph"] if mode == "replayed" else []
    subprocess.run([*script(spec, place, whole), *options], check=True)
    status = examples.killed_after(5, [*script(spec, place, killed), *options])
    assert status == -signal.SIGKILL, "the run ended before it was killed"
    assert killed.checkpoint.exists()
    subprocess.run([*script(spec, place, killed), *options], check=True)
    first = examples.record(killed)["sessions"][-1]["first_epoch"]
    assert first > 1, "the second process began anew"
    assert examples.result(killed) == examples.result(whole)
    return f"continued at epoch {first} of {spec.recipe.epochs}"


def script(spec: RunSpec, place: Place, files: RunFiles) -> list[str]:
    """Return the command that trains a run on the pictures in the place's folder."""
    command = [sys.executable, str(provenance.SCRIPTS / "train.py"), "--spec", spec.to_json()]
    command += ["--data", str(place.folder / "data.safetensors"), "--device", place.device.type]
    for field in dataclasses.fields(files):
        command += [f"--{field.name}", str(getattr(files, field.name))]
    return command


@check("plain", "residual", "full-residual", "residual triton")
def three_epochs_follow_the_cpu(place: Place, case: str) -> str:
    """Compare the training curve with that of float64 on the CPU.

    Rounding errors grow while a network learns, so how far the CPU's own float32 comes away from
    float64 is the measure of what is allowed.
    """
    data = examples.pictures(place.folder, 160, 50, side=16)
    cpu_threads = threads(place)

    def curve(device: str, precision: str) -> np.ndarray:
        spec = run_spec(case, Place(torch.device(device), place.folder), precision=precision)
        folder = place.folder / f"{device}-{precision}"
        files = examples.trained(spec, data, folder, device, threads=cpu_threads)
        return np.array([float(row["risk"]) for row in examples.history(files)])

    exact = curve("cpu", "float64")
    usual = np.abs(curve("cpu", "float32") / exact - 1).max()
    error = np.abs(curve(place.device.type, "float32") / exact - 1).max()
    # Even one activation that rounding moves across 0 is a difference of up to 2e-6.
    bound = 10 * usual + (1e-4 if case.startswith("full-") else 5e-6)
    assert error < bound, f"relative difference {error:.1e}, allowed {bound:.1e}"
    assert exact[-1] < exact[0], "nothing was learned"
    return f"relative difference {error:.1e}, of the CPU's float32 {usual:.1e}"


@check("plain eager", "plain replayed", "plain triton replayed")
def a_diverging_run_is_found(place: Place, case: str) -> str:
    """Train with far too large a rate; the record must say at which step the loss was lost."""
    data = examples.pictures(place.folder, 320, 50)
    name, _, mode = case.rpartition(" ")
    changes: dict[str, Any] = {"learning_rate": 1e20, "penalty": 0.0}
    cpu = examples.trained(examples.run_spec("plain", **changes), data, place.folder / "cpu", "cpu")
    files = examples.trained(
        run_spec(name, place, **changes),
        data,
        place.folder / "device",
        place.device.type,
        cuda_graph=mode == "replayed",
    )
    facts = examples.record(files)
    assert facts["status"] == "diverged"
    assert facts["diverged_at"] == examples.record(cpu)["diverged_at"]
    assert [row["status"] for row in examples.history(files)] == ["diverged"]
    return f"at {facts['diverged_at']}"


@check()
def twins_stay_together_in_float64(place: Place) -> str:
    """Train a residual network and the equal plain one in step."""
    data = examples.pictures(place.folder, 150, 50)
    spec = examples.run_spec("residual", precision="float64", epochs=2)
    drift = DriftRecorder(place.folder / "drift.csv", every_step_epochs=2, mask_pictures=8)
    train(
        [spec, plain_twin(spec)],
        data,
        [RunFiles.in_folder(place.folder / name) for name in ("residual", "plain")],
        device=place.device.type,
        threads=1,
        code="code",
        observers=[drift],
    )
    weights = max(row.weight_difference for row in drift.rows)
    risk = max(row.risk_difference for row in drift.rows)
    assert len(drift.rows) == 10
    assert 0 < weights < 1e-12, weights
    assert risk < 1e-12, risk
    return f"weights apart by {weights:.1e}, risks by {risk:.1e}"


@check("eager", "replayed")
def steps_do_not_wait_for_the_card(place: Place, mode: str) -> str:
    """Let PyTorch raise an error where the program waits for the card, from the second step on."""
    run = small_run(place, examples.pictures(place.folder, 150, 50), mode)
    first, second = Epoch(run, 1), Epoch(run, 2)
    # The first epoch records the step, but for the smaller batch.
    for _ in run.batches.epoch(1):
        first.step()
    second.step()
    if place.device.type != "cuda":
        return "not known without a card"
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(len(run.batches) - 2):
            second.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return f"{len(run.batches) - 2} steps"


def small_run(place: Place, data: Dataset, mode: str) -> Run:
    """Return a run of five steps an epoch."""
    device = devices.set_up(place.device.type, 1)
    record = cuda_graph if mode == "replayed" and device.type == "cuda" else None
    return Run(examples.run_spec("residual"), data, device, None, record=record)


@check("eager", "replayed")
def training_takes_no_more_memory_with_every_epoch(place: Place, mode: str) -> str:
    """Train as the paper does, at depth 44 with mini-batches of 128, and look at the memory."""
    batch = 128 if place.device.type == "cuda" else 8
    data = examples.pictures(place.folder, 4 * batch + 1, 20)
    spec = examples.run_spec("residual", 44, batch_size=batch, epochs=8, milestones=(0.5,))
    device = devices.set_up(place.device.type, 1)
    record = cuda_graph if mode == "replayed" and device.type == "cuda" else None
    run = Run(spec, data, device, None, record=record)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    peaks = []
    for number in range(1, spec.recipe.epochs + 1):
        epoch = Epoch(run, number)
        for _ in range(len(run.batches)):
            epoch.step()
        epoch.finish()
        peaks.append(peak_megabytes(device))
    # Every activation of 43 convolutions, twice: forward and backward.
    activations = 2 * 4 * batch * 16 * 32 * 32 * 15 * (1 + 1 / 2 + 1 / 4) / 1e6
    assert math.isclose(peaks[-1], peaks[4], rel_tol=0.01), peaks
    assert peaks[-1] < 3 * activations + 200, f"{peaks[-1]:.0f} MB, activations {activations:.0f}"
    return f"{peaks[-1]:.0f} MB" if device.type == "cuda" else "not known without a card"


def peak_megabytes(device: torch.device) -> float:
    """Return the largest memory that tensors have taken on a card so far, 0 on a CPU."""
    return torch.cuda.max_memory_allocated(device) / 1e6 if device.type == "cuda" else 0.0
