"""Margins against brute force, and metrics of the registry on a small run."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from resnoise import registry
from resnoise.data import digits
from resnoise.devices import Computing
from resnoise.errors import ResnoiseError
from resnoise.metrics import margin, registered
from resnoise.training.batches import Normalisation


def test_margins_are_the_right_logit_minus_the_largest_other_one() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn((50, 7), generator=generator, dtype=torch.float64)
    labels = torch.randint(7, (50,), generator=generator)
    expected = [
        row[label] - max(value for place, value in enumerate(row) if place != label)
        for row, label in zip(logits.tolist(), labels.tolist(), strict=True)
    ]
    found = margin.margins(logits, labels)
    assert found.tolist() == expected
    # The share of negative margins is the error.
    assert ((found < 0) == (logits.argmax(1) != labels)).all()


class Run:
    """A run whose network gives multiples of the mean of each picture."""

    def __init__(self) -> None:
        samples = digits.read()
        arrays = {name: array[:20] for name, array in vars(samples).items()}
        self.dataset = SimpleNamespace(**arrays)
        self.spec = SimpleNamespace(recipe=SimpleNamespace(allow_tf32=False))

    def usable(self, every_snapshot: bool) -> list[str]:
        assert every_snapshot
        return ["initial", "final"]

    def network(self, label: str, device: torch.device) -> torch.nn.Module:
        network = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
        network.append(torch.nn.Linear(1, 10, bias=False))
        generator = torch.Generator().manual_seed(len(label))
        torch.nn.init.normal_(network[2].weight, generator=generator)
        return network.eval()

    def normalisation(self, device: torch.device) -> Normalisation:
        return Normalisation(np.array([0.5]), np.array([0.5]), device, torch.float32)


def test_statistics_are_those_of_all_pictures() -> None:
    run = Run()
    table = margin.measure(run, torch.device("cpu"))  # type: ignore[arg-type]
    assert list(table["snapshot"]) == ["initial", "initial", "final", "final"]
    inputs = run.normalisation(torch.device("cpu"))(torch.from_numpy(run.dataset.test_images))
    logits = run.network("final", torch.device("cpu"))(inputs).double().detach().numpy()
    right = logits[np.arange(20), run.dataset.test_labels]
    others = logits.copy()
    others[np.arange(20), run.dataset.test_labels] = -np.inf
    expected = right - others.max(1)
    row = table.iloc[3]
    assert row["part"] == "test"
    assert row["mean"] == pytest.approx(expected.mean())
    assert row["median"] == pytest.approx(np.median(expected))
    assert row["q05"] == pytest.approx(np.quantile(expected, 0.05))
    relative = expected / np.linalg.norm(logits, axis=1)
    assert row["relative_median"] == pytest.approx(np.median(relative))


@pytest.mark.parametrize(
    ("returned", "complaint"),
    [
        (0.5, "metric margin: a float returned, not a DataFrame"),
        (pd.DataFrame({"depth": [1]}), "metric margin: column depth returned"),
    ],
)
def test_a_metric_must_return_a_table_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, returned: object, complaint: str
) -> None:
    monkeypatch.setattr(margin, "measure", lambda run, device: returned)
    output = tmp_path / "margin.csv"
    with pytest.raises(ResnoiseError, match=complaint):
        registered.measure_run(
            Run(),  # type: ignore[arg-type]
            "margin",
            {},
            [output],
            Computing("cpu"),
        )
    assert not output.exists()


def test_names_that_the_registry_lacks_are_refused_with_those_it_has() -> None:
    with pytest.raises(ResnoiseError, match="metric 'margins' is unknown, allowed: evaluation"):
        registry.metric("margins")
    with pytest.raises(ResnoiseError, match="source 'mnist' is unknown, allowed: cifar10, archive"):
        registry.load_source("mnist")
