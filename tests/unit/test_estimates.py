"""Estimates of run times: in the right order of size, and never short of what was measured."""

import dataclasses

import pytest

from resnoise import registry
from resnoise.config import load as config
from resnoise.errors import ResnoiseError
from resnoise.plan import estimates
from resnoise.plan.specs import run_spec
from resnoise.specs.run import RunSpec


def spec(depth: int = 20, width: int = 16, **recipe: object) -> RunSpec:
    loaded = config.load({"networks": {"width": width}})
    found = run_spec(loaded, "residual", depth, "hmwi", 1)
    return dataclasses.replace(found, recipe=dataclasses.replace(found.recipe, **recipe))


# Seconds of an epoch of 50,000 pictures on one core of a server: depth, seconds.
@pytest.mark.parametrize(("depth", "measured"), [(20, 155), (32, 300)])
def test_an_estimate_is_longer_than_a_measured_run_and_not_beyond_all_measure(
    depth: int, measured: float
) -> None:
    estimate = estimates.train_seconds(spec(depth, epochs=200), 50_000, "cpu")
    assert 1.2 < estimate / (200 * measured) < 4


@pytest.mark.parametrize(
    ("slower", "faster"),
    [
        ((spec(44), 50_000, "cpu"), (spec(20), 50_000, "cpu")),
        ((spec(epochs=20), 50_000, "cpu"), (spec(epochs=10), 50_000, "cpu")),
        ((spec(width=32), 50_000, "cpu"), (spec(), 50_000, "cpu")),
        ((spec(precision="float64"), 50_000, "cpu"), (spec(), 50_000, "cpu")),
        ((spec(), 50_000, "cpu"), (spec(), 5_000, "cpu")),
        ((spec(), 50_000, "cpu"), (spec(), 50_000, "auto")),
    ],
)
def test_more_work_takes_longer(
    slower: tuple[RunSpec, int, str], faster: tuple[RunSpec, int, str]
) -> None:
    assert estimates.train_seconds(*slower) > 1.3 * estimates.train_seconds(*faster)


def test_an_evaluation_takes_longer_than_its_forward_passes_and_less_than_two_epochs() -> None:
    # Two networks over 60,000 pictures, at a third of the cost of training.
    epoch = estimates.train_seconds(spec(epochs=2), 50_000, "cpu") - estimates.train_seconds(
        spec(epochs=1), 50_000, "cpu"
    )
    estimate = estimates.evaluate_seconds(spec(epochs=200), 50_000, "cpu")
    assert 2 * 60 / 50 / 3 * epoch < estimate < 2 * epoch + 600


def test_a_graphics_card_is_assumed_where_one_is_asked_for() -> None:
    seconds = {name: estimates.train_seconds(spec(), 50_000, name) for name in ("auto", "cuda")}
    assert seconds["auto"] == seconds["cuda"]


@pytest.mark.parametrize(
    ("data", "pictures"),
    [
        ({"source": "digits"}, 1442),
        ({"source": "digits", "train_per_class": 20}, 200),
        ({}, 50_000),
        # Of any number of classes.
        ({"source": "pictures", "path": __file__}, 50_000),
        ({"source": "pictures", "path": __file__, "train_per_class": 500}, 50_000),
        ({"source": "pictures", "path": __file__, "train_per_class": 6000}, 60_000),
    ],
)
def test_the_size_of_the_training_set_follows_the_configuration(
    data: dict[str, object], pictures: int
) -> None:
    assert estimates.training_pictures(config.load({"data": data})["data"]) == pictures


def test_a_source_may_have_any_number_of_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = {"classes": 100, "per_class": (500, 100), "pictures": 50_000}
    hundred = dataclasses.replace(registry.SOURCES["digits"], **numbers)
    # The schema, which is read once, knows the names of the sources.
    monkeypatch.setitem(registry.SOURCES, "digits", hundred)
    training = {"simplified": {"batch_size": 500}}
    loaded = config.load({"data": {"source": "digits", "train_per_class": 5}, "training": training})
    assert estimates.training_pictures(loaded["data"]) == 500
    training = {"simplified": {"batch_size": 501}}
    with pytest.raises(ResnoiseError, match="501 given, allowed: an integer <= 500"):
        config.load({"data": {"source": "digits", "train_per_class": 5}, "training": training})
