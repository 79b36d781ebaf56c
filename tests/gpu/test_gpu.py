"""All checks of what runs on a graphics card; ``run_checks.py`` makes them without pytest."""

from pathlib import Path

import metric_checks  # noqa: F401 (adds its checks)
import pytest
import torch
import training_checks  # noqa: F401
from registry import CHECKS, Place

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="PyTorch finds no CUDA device"
)


@pytest.mark.parametrize("name", CHECKS)
def test_on_a_graphics_card(name: str, tmp_path: Path) -> None:
    print(CHECKS[name](Place(torch.device("cuda"), tmp_path)))
