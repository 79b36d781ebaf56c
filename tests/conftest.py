"""Settings of all tests."""

import os

import pytest
from hypothesis import settings

# Several test processes run side by side, and more threads cost time on small tensors.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# No time limits, which fail on busy machines, and the same examples in every run.
settings.register_profile("resnoise", deadline=None, derandomize=True)
settings.load_profile("resnoise")


@pytest.fixture
def saved_after_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a training save its state after every epoch, for tests that stop it after one."""
    monkeypatch.setattr("resnoise.training.loop._SAVED_EVERY", 0)
