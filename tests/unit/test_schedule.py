"""The learning rate against exact arithmetic."""

import dataclasses
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from resnoise.config import load as config
from resnoise.plan.specs import recipe_spec
from resnoise.specs.run import RecipeSpec
from resnoise.training.schedule import learning_rate


def recipe(**changes: Any) -> RecipeSpec:
    return dataclasses.replace(recipe_spec(config.load({}), "plain"), **changes)


@pytest.mark.parametrize(
    ("epoch", "rate"),
    [(1, 0.005), (100, 0.005), (101, 0.0005), (150, 0.0005), (151, 0.00005), (200, 0.00005)],
)
def test_the_default_divides_by_ten_after_half_and_three_quarters(epoch: int, rate: float) -> None:
    assert learning_rate(recipe(), epoch) == pytest.approx(rate, rel=1e-12)


@given(
    epochs=st.integers(1, 1000),
    thousandths=st.lists(st.integers(1, 999), max_size=4, unique=True),
    data=st.data(),
)
@example(epochs=100, thousandths=[550], data=None)
@example(epochs=50, thousandths=[140], data=None)
@example(epochs=200, thousandths=[70], data=None)
def test_a_milestone_acts_as_soon_as_its_share_of_the_epochs_is_done(
    epochs: int, thousandths: list[int], data: st.DataObject | None
) -> None:
    milestones = tuple(number / 1000 for number in sorted(thousandths))
    chosen = recipe(epochs=epochs, milestones=milestones, learning_rate=0.3, decay_factor=0.2)
    numbers = range(1, epochs + 1) if data is None else [data.draw(st.integers(1, epochs))]
    for epoch in numbers:
        passed = sum(epoch - 1 >= Fraction(part, 1000) * epochs for part in thousandths)
        assert learning_rate(chosen, epoch) == pytest.approx(0.3 * 0.2**passed, rel=1e-12)


@given(epoch=st.integers(1, 50))
def test_without_milestones_the_rate_is_constant(epoch: int) -> None:
    assert learning_rate(recipe(epochs=50, milestones=(), learning_rate=0.7), epoch) == 0.7


def test_with_one_epoch_no_milestone_acts() -> None:
    assert learning_rate(recipe(epochs=1), 1) == 0.005
