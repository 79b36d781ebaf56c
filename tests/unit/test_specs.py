"""Specifications: to JSON and back without loss, and no key too many or too few."""

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnoise.config import load as config
from resnoise.errors import ResnoiseError
from resnoise.plan.specs import run_spec
from resnoise.specs.base import Spec
from resnoise.specs.run import DataSpec, NetworkSpec, RecipeSpec, RunSpec

NUMBER = st.floats(allow_nan=False, allow_infinity=False)
FIELDS = {
    bool: st.booleans(),
    int: st.integers(),
    float: NUMBER,
    str: st.text(),
    str | None: st.none() | st.text(),
    int | None: st.none() | st.integers(),
    tuple[float, ...]: st.lists(NUMBER).map(tuple),
    tuple[int, ...]: st.lists(st.integers()).map(tuple),
}


def any_spec(kind: type[Spec]) -> st.SearchStrategy[Any]:
    """Return a strategy for specifications of ``kind`` with fields of the declared types."""
    fields = {field.name: field.type for field in dataclasses.fields(kind)}
    return st.builds(
        kind,
        **{
            name: any_spec(type_) if type_ not in FIELDS else FIELDS[type_]
            for name, type_ in fields.items()
        },
    )


RUN = run_spec(config.load({}), "residual", 20, "hmwi", 3)


@given(spec=any_spec(RunSpec) | any_spec(DataSpec) | any_spec(NetworkSpec) | any_spec(RecipeSpec))
def test_json_and_back_gives_the_same_specification(spec: Spec) -> None:
    text = spec.to_json()
    again = type(spec).from_json(text)
    assert again == spec
    assert again.to_json() == text
    assert hash(again) == hash(spec)
    assert "\n" not in text
    assert list(json.loads(text)) == sorted(json.loads(text))


def test_equal_specifications_give_equal_text_whatever_the_order_of_keys() -> None:
    keys = json.loads(RUN.to_json())
    shuffled = json.dumps({name: keys[name] for name in sorted(keys, reverse=True)})
    assert shuffled != RUN.to_json()
    assert RunSpec.from_json(shuffled).to_json() == RUN.to_json()


def test_nested_specifications_and_tuples_come_back_as_such() -> None:
    again = RunSpec.from_json(RUN.to_json())
    assert isinstance(again.network, NetworkSpec)
    assert isinstance(again.recipe, RecipeSpec)
    assert again.recipe.milestones == (0.5, 0.75)


def test_a_different_specification_gives_different_text() -> None:
    other = dataclasses.replace(RUN, recipe=dataclasses.replace(RUN.recipe, momentum=0.95))
    texts = {spec.to_json() for spec in (RUN, dataclasses.replace(RUN, seed=4), other)}
    assert len(texts) == 3


def test_specifications_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        RUN.seed = 5  # type: ignore[misc]


@pytest.mark.parametrize("section", ["run", "network", "recipe"])
def test_an_unknown_key_is_refused(section: str) -> None:
    value = json.loads(RUN.to_json())
    (value if section == "run" else value[section])["sede"] = 1
    with pytest.raises(ResnoiseError, match=r"needs exactly the keys .*, not .*'sede'"):
        RunSpec.from_json(json.dumps(value))


@pytest.mark.parametrize(
    ("section", "key"), [("run", "seed"), ("network", "depth"), ("recipe", "momentum")]
)
def test_a_missing_key_is_refused(section: str, key: str) -> None:
    value = json.loads(RUN.to_json())
    del (value if section == "run" else value[section])[key]
    with pytest.raises(ResnoiseError, match=f"needs exactly the keys .*'{key}'.*, not"):
        RunSpec.from_json(json.dumps(value))


@pytest.mark.parametrize("text", ["", "{", "seed: 1", "{'seed': 1}", '{"seed": 1'])
def test_text_that_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(ResnoiseError, match="--spec is not JSON"):
        RunSpec.from_json(text)


@pytest.mark.parametrize("text", ["1", "null", "true", '"seed"', "[]", '[1, "seed"]', "{}"])
def test_json_that_is_no_specification_is_refused(text: str) -> None:
    with pytest.raises(ResnoiseError, match="a NetworkSpec needs exactly the keys"):
        NetworkSpec.from_json(text)


@pytest.mark.parametrize("value", ["20", 20, None, [1]])
def test_a_nested_value_that_is_no_specification_is_refused(value: Any) -> None:
    keys = json.loads(RUN.to_json()) | {"network": value}
    with pytest.raises(ResnoiseError, match="a NetworkSpec needs exactly the keys"):
        RunSpec.from_json(json.dumps(keys))
