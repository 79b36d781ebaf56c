"""Where the results go of a configuration in which the command line changes something."""

from typing import Any

import pytest

from resnoise.config import load as config
from resnoise.plan import studies

BASE = config.load({"results": "results/quick", "data": {"source": "digits"}})
LEARNING_RATE = "training.simplified.learning_rate"


def changed(given: dict[str, Any]) -> dict[str, Any]:
    """Return what the keys of a command line change in ``BASE``."""
    raw = {"results": "results/quick", **given}
    raw["data"] = {"source": "digits", **given.get("data", {})}
    return studies.changes(given, config.load(raw), BASE)


def test_a_key_with_another_value_is_a_change_and_gives_its_name() -> None:
    # Sections of the command line come as text.
    found = changed({"training": {"simplified": {"learning_rate": "0.001", "epochs": "3"}}})
    assert found == {LEARNING_RATE: 0.001, "training.simplified.epochs": 3}
    assert (
        studies.folder("results/quick", found)
        == f"results/quick/studies/training.simplified.epochs=3,{LEARNING_RATE}=0.001"
    )


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"device": "cpu"},
        {"cuda_graph": "true"},
        {"downloads": "elsewhere"},
        {"data": {"mirrors": ["https://example.org/cifar"], "retries": "5"}},
        {"layer_cushion": {"memory_mb": "100"}},
        {"training": {"simplified": {"learning_rate": "0.0050"}}},
        {"table1": {"seeds": ["1", "2", "3"]}},
        {"runs": [{"architecture": "plain", "initialisation": "hmwi"}]},
        {"results": "results/other"},
    ],
)
def test_values_as_they_were_and_keys_without_effect_are_no_change(given: dict[str, Any]) -> None:
    assert changed(given) == {}


def test_additions_replace_nothing_and_changes_do() -> None:
    one = {"name": "one", "path": __file__}
    base = config.load({"external": [one]})
    more = {"external": [{"name": "two", "path": __file__}, one]}
    assert studies.changes(more, config.load(more), base) == {}
    for other in ({"external": [{**one, "path": config.__file__}]}, {"external": []}):
        found = studies.changes(other, config.load(other), base)
        assert found == {"external": config.load(other)["external"]}


def test_without_a_valid_configuration_all_given_keys_count() -> None:
    loaded = config.load({"training": {"simplified": {"epochs": 200}}})
    found = studies.changes({"training": {"simplified": {"epochs": "200"}}}, loaded, None)
    assert found == {"training.simplified.epochs": 200}


def test_names_are_safe_short_and_different() -> None:
    values: list[dict[str, Any]] = [
        {"table1.depths": [20, 44]},
        {"table1.depths": [20]},
        {"data.path": "/data/My pictures"},
        {"data.path": "/data/My_pictures"},
        {"data.path": "a,b=c"},
        {"data.path": "a", "b": "c"},
        {"data.train_per_class": None},
        {LEARNING_RATE: 0.001, **{f"section{number}.key": number for number in range(20)}},
        {LEARNING_RATE: 0.001, **{f"section{number}.key": number for number in range(21)}},
        {"data.path": "ä" * 300},
    ]
    names = [studies.name(value) for value in values]
    assert names[:2] == ["table1.depths=20-44", "table1.depths=20"]
    assert names[6] == "data.train_per_class=null"
    assert len({*names}) == len(names)
    for name in names:
        assert len(name) < 120
        # A folder of this name is one that a configuration may have.
        assert config.load({"results": f"results/studies/{name}"})
        assert not {*name} & {*"/ '\"\\"}
