"""Resources: memory, time, graphics cards."""

import math

from resnoise.plan import estimates

GPUS = 0 if CONFIG["device"] == "cpu" else 1


def rising(amount):
    """Return a resource that grows with each attempt: a job killed for lack of it gets more."""
    return lambda wildcards, attempt: attempt * amount


def computing(runtime, memory_mb=500):
    """Return the resources of a job that computes with networks, on a GPU if the device allows it.

    Args:
        runtime: minutes, or a function that estimates them.
        memory_mb: memory for activations in megabytes.
    """
    return {
        "mem_mb": rising(2500 + memory_mb),
        "runtime": runtime if callable(runtime) else rising(runtime),
        "memory_mb": memory_mb,
        "gpu": GPUS,
        "device": CONFIG["device"],
    }


def measuring(section, runtime):
    """Return the resources of a measurement whose section has the key `memory_mb`."""
    return computing(runtime, CONFIG[section]["memory_mb"])


def minutes(seconds, spec, attempt):
    """Return the minutes to request: an estimate from resnoise.plan.estimates, times the attempt."""
    pictures = estimates.training_pictures(CONFIG["data"])
    return math.ceil(attempt * seconds(spec, pictures, CONFIG["device"]) / 60)


def train_minutes(wildcards, attempt):
    """Return a generous estimate of the wall time for training a run, in minutes."""
    return minutes(estimates.train_seconds, run(wildcards), attempt)


def twin_minutes(wildcards, attempt):
    """Return a generous estimate of the wall time for training a pair of twins, in minutes."""
    return minutes(estimates.train_seconds, twin(wildcards), 2 * attempt)


def evaluate_minutes(wildcards, attempt):
    """Return a generous estimate of the wall time for evaluating a run, in minutes."""
    return minutes(estimates.evaluate_seconds, run(wildcards), attempt)


def evaluate_twin_minutes(wildcards, attempt):
    """Return a generous estimate of the wall time for evaluating one of two twins, in minutes."""
    return minutes(estimates.evaluate_seconds, twin(wildcards), attempt)
