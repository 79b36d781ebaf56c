"""The list of all checks of what runs on a graphics card.

A check is a function that compares a device with the CPU, or with itself. It works with any device,
so that each can be rehearsed where there is no card, and needs no pytest.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a check computes.

    Attributes:
        device: the device to check.
        folder: an empty folder for its files.
    """

    device: torch.device
    folder: Path


# Does the check, raises AssertionError if it fails, and returns what was measured, in words.
Check = Callable[[Place], str]

CHECKS: dict[str, Check] = {}


def check(*cases: str) -> Callable[[Callable[..., str]], Callable[..., str]]:
    """Add a function to ``CHECKS``, once for each of its cases, which it gets after the place."""

    def add(function: Callable[..., str]) -> Callable[..., str]:
        name = function.__name__
        if not cases:
            CHECKS[name] = function
        for case in cases:
            CHECKS[f"{name} {case}"] = lambda place, case=case: function(place, case)
        return function

    return add
