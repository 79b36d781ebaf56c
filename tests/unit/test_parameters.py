"""The texts that name initialisations with their parameters: one for each, and no other."""

import inspect
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnoise import parameters, registry
from resnoise.errors import ResnoiseError
from resnoise.parameters import Parameter

WITH = {"name": "id-entries"}
CANONICAL = [
    *("kwi", "hmwi", "t-hmwi", "dirac", "orthogonal", "t-inverse-kwi"),
    *("id-entries_alpha=0", "id-entries_alpha=1", "id-entries_alpha=0.5"),
    *(
        "id-entries_alpha=0.125_noise=0",
        "id-entries_alpha=1_noise=10",
        "id-entries_alpha=1_noise=2.5",
    ),
]


@pytest.mark.parametrize("text", CANONICAL)
def test_a_text_is_its_own_and_becomes_part_of_names(text: str) -> None:
    assert registry.initialisation_text(text) == text
    assert re.fullmatch(registry.initialisation_pattern(), text)
    name, values = registry.initialisation_parameters(text)
    assert registry.initialisation_text({"name": name, **values}) == text
    # Characters at which Snakemake, shells or file systems would split or replace something.
    assert not {*text} & set(",/ '\"$*?[]{}<>:;&|")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({**WITH, "alpha": 1.0}, "id-entries_alpha=1"),
        ({**WITH, "alpha": 0.50}, "id-entries_alpha=0.5"),
        ({"alpha": 1e-3, **WITH}, "id-entries_alpha=0.001"),
        ({**WITH, "noise": 1, "alpha": 0}, "id-entries_alpha=0"),
        ({**WITH, "noise": 20, "alpha": -0.0}, "id-entries_alpha=0_noise=20"),
        # Snakemake passes numbers within braces of a command line as texts.
        ({**WITH, "alpha": "0.5"}, "id-entries_alpha=0.5"),
        ({"name": "kwi"}, "kwi"),
    ],
)
def test_what_means_the_same_has_one_text(given: Any, text: str) -> None:
    assert registry.initialisation_text(given) == text


NAMES = "one of kwi, hmwi, t-hmwi, id-entries"
ALPHA = "id-entries with alpha, a number >= 0 and <= 1"


@pytest.mark.parametrize(
    ("given", "allowed"),
    [
        ("xavier", NAMES),
        ("", NAMES),
        ({}, NAMES),
        ({"name": 3}, NAMES),
        ({"name": ["kwi"]}, NAMES),
        (["kwi"], NAMES),
        (None, NAMES),
        ("id-entries", ALPHA),
        ({**WITH, "noise": 2}, ALPHA),
        ({**WITH, "alpha": 1.01}, ALPHA),
        ({**WITH, "alpha": -0.01}, ALPHA),
        ({**WITH, "alpha": float("nan")}, ALPHA),
        ({**WITH, "alpha": True}, ALPHA),
        ({**WITH, "alpha": "much"}, ALPHA),
        ({**WITH, "alpha": None}, ALPHA),
        ({**WITH, "alpha": [0.5]}, ALPHA),
        ({**WITH, "alpha": 10**400}, ALPHA),
        ({**WITH, "alpha": 1, "noise": -1}, "id-entries with noise, a number >= 0 and <= 100"),
        ({**WITH, "alpha": 1, "beta": 1}, "id-entries with the parameters alpha, noise, not beta"),
        ({"name": "kwi", "alpha": 1}, "kwi with no parameters, not alpha"),
        ("kwi_alpha=1", "kwi with no parameters, not alpha"),
        ("id-entries_alpha=1.0", "id-entries_alpha=1"),
        ("id-entries_alpha=.5", "id-entries_alpha=0.5"),
        ("id-entries_alpha=5e-1", "id-entries_alpha=0.5"),
        ("id-entries_alpha=+1", "id-entries_alpha=1"),
        ("id-entries_alpha=0.50", "id-entries_alpha=0.5"),
        ("id-entries_noise=2_alpha=1", "id-entries_alpha=1_noise=2"),
        ("id-entries_alpha=1_noise=1", "id-entries_alpha=1"),
        ("id-entries_alpha=1_alpha=1", "a name, then _key=value once for each of its parameters"),
        ("id-entries_1", "a name, then _key=value once for each of its parameters"),
    ],
)
def test_anything_else_is_refused_with_what_is_allowed(given: Any, allowed: str) -> None:
    with pytest.raises(ResnoiseError) as caught:
        registry.initialisation_text(given)
    assert str(caught.value).startswith(allowed)
    if isinstance(given, str):
        with pytest.raises(ResnoiseError, match=r"^initialisation '.*' is unknown, allowed: ."):
            registry.initialisation_parameters(given)


@pytest.mark.parametrize(
    "text",
    [
        *("id-entries", "id-entries_", "id-entries_alpha=", "id-entries_alpha=1.0", "kwi_alpha=1"),
        *("id-entries_alpha=.5", "id-entries_alpha=00", "id-entries_alpha=-0", "xkwi", "kwi\n"),
        *("id-entries_alpha=5e-1", "id-entries_alpha=0.5,noise=1", "id-entries_alpha=0.0"),
        *("id-entries_noise=2_alpha=1", "id-entries_alpha=1_alpha=1", "kwi/seed1", ""),
    ],
)
def test_the_rules_take_no_folder_with_another_name(text: str) -> None:
    # Grouped, as in the patterns that Snakemake makes of it.
    assert not re.fullmatch(f"(?P<x>{registry.initialisation_pattern()})", text)


@given(st.floats(-1e6, 1e6))
def test_a_number_is_written_without_loss_and_in_one_form(value: float) -> None:
    text = parameters.short(value)
    assert float(text) == value
    assert re.fullmatch(parameters.pattern("x", [Parameter("y", -1e6, 1e6)]), f"x_y={text}")
    assert parameters.short(float(text)) == text


@pytest.mark.parametrize("name", registry.INITIALISATIONS)
def test_parameters_are_the_arguments_of_the_module_with_the_same_defaults(name: str) -> None:
    """A value that is left out of a text is that of the module, which the digests cover."""
    known = registry.INITIALISATIONS[name].parameters
    needed = {each.name: each.lowest for each in known if each.default is None}
    kernels = registry.load_initialisation(
        registry.initialisation_text({"name": name, **needed})
    ).draw_kernel
    _, _, _, *own = inspect.signature(kernels.func).parameters.values()
    defaults = [None if each.default is each.empty else each.default for each in own]
    assert [each.name for each in own] == [each.name for each in known]
    assert defaults == [each.default for each in known]
