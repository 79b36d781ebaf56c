"""The configuration: defaults, messages for every kind of mistake, and the shipped files."""

import copy
import dataclasses
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from snakemake.cli import parse_config
from snakemake.utils import update_config

from resnoise import registry
from resnoise.claims import scale
from resnoise.config import load as config
from resnoise.config.schema import SCHEMA_PATH, leaves, read_schema, validator
from resnoise.errors import ResnoiseError
from resnoise.plan import grid
from resnoise.plan.specs import data_spec, gradient_flow_spec, recipe_spec, run_spec
from resnoise.specs.run import DataSpec, RecipeSpec, RunSpec

FOLDER = SCHEMA_PATH.parent
SHIPPED = [
    *("config.yaml", "quick.yaml", "cifar10-short.yaml", "conjecture-short.yaml"),
    "reference.yaml",
]
ARCHITECTURES = [
    "plain",
    "residual",
    "full-plain",
    "full-residual",
    "dominant-path",
    "dominant-path-lower-full",
]


def read(name: str) -> dict[str, Any]:
    """Return a shipped file as Snakemake merges it: over config.yaml."""
    merged: dict[str, Any] = {}
    for each in ("config.yaml", name):
        update_config(merged, yaml.safe_load((FOLDER / each).read_text(encoding="utf-8")))
    return merged


@pytest.mark.parametrize("name", ["config.yaml", "quick.yaml", "cifar10-short.yaml"])
def test_files_are_merged_as_snakemake_merges_them(name: str) -> None:
    assert config.read([FOLDER / name]) == read(name)


def test_later_files_win_key_by_key(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("table1: {depths: [8]}\ntraining: {simplified: {epochs: 1}}\n", "utf-8")
    expected = read("quick.yaml")
    update_config(expected, yaml.safe_load(mine.read_text("utf-8")))
    assert config.read([FOLDER / "quick.yaml", mine]) == expected
    assert expected["table1"] == {"depths": [8], "seeds": [1, 2]}


@pytest.mark.parametrize("text", ["[1, 2]", "key: [", "\xff"])
def test_a_file_that_is_no_configuration_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(text, "latin-1")
    with pytest.raises(ResnoiseError, match=r"wrong\.yaml: "):
        config.read([tmp_path / "wrong.yaml"])


def nested(key: str, value: Any) -> dict[str, Any]:
    """Return the configuration in which only the dotted ``key`` is given."""
    for part in reversed(key.split(".")):
        value = {part: value}
    assert isinstance(value, dict)
    return value


def problems(raw: dict[str, Any]) -> list[str]:
    """Return the problem lines of a broken configuration."""
    with pytest.raises(ResnoiseError) as caught:
        config.load(raw)
    return str(caught.value).split("\n")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty folder, because relative paths count from the working directory."""
    monkeypatch.chdir(tmp_path)


S = "training.simplified"
F = "training.fully_fledged"
NEEDS_INTEGER = "allowed: an integer >= 1"
FOLDER_NAME = "allowed: a folder name, without the characters"
OWN_FOLDER = "allowed: a folder of its own"

# Key, broken value, and where the message names another place than the key: that place; then what
# it says, the value given first.
BROKEN: list[tuple[str, Any, str, list[str]]] = [
    ("results", "", "", ["'' given", FOLDER_NAME]),
    ("results", "a{b}", "", ["'a{b}' given", FOLDER_NAME]),
    ("results", "a<b", "", ["'a<b' given", FOLDER_NAME]),
    ("results", "a*", "", ["'a*' given", FOLDER_NAME]),
    ("results", "a\nb", "", [r"'a\nb' given", FOLDER_NAME]),
    ("results", "a\n", "", [r"'a\n' given", FOLDER_NAME]),
    ("results", "~/results", "", ["'~/results' given", "a leading ~"]),
    ("results", " ", "", ["' ' given", FOLDER_NAME]),
    ("results", "a ", "", ["'a ' given", FOLDER_NAME]),
    ("results", "--help", "", ["'--help' given", "a leading ~ or -"]),
    ("results", "docs/a", "", ["'docs/a' given", OWN_FOLDER]),
    ("results", ".", "", ["'.' given", OWN_FOLDER]),
    ("results", "./", "", ["'./' given", OWN_FOLDER]),
    ("results", "a/..", "", ["'a/..' given", OWN_FOLDER]),
    ("results", "..", "", ["'..' given", OWN_FOLDER]),
    ("results", "/", "", ["'/' given", OWN_FOLDER]),
    ("results", "config", "", ["'config' given", OWN_FOLDER, "config,"]),
    ("results", "rules/", "", ["'rules/' given", OWN_FOLDER, "rules,"]),
    ("results", "workflow/results", "", ["'workflow/results' given", OWN_FOLDER, "workflow"]),
    ("results", "x/../tests", "", ["'x/../tests' given", OWN_FOLDER, "tests,"]),
    ("results", str(FOLDER / "out"), "", ["/config/out' given", OWN_FOLDER]),
    ("results", 5, "", ["5 given", FOLDER_NAME, "(put it in quotes)"]),
    ("results", None, "", ["null given", FOLDER_NAME, "leave the key out"]),
    ("results", ["a"], "", ["['a'] given", FOLDER_NAME]),
    ("downloads", "envs/x", "", ["'envs/x' given", OWN_FOLDER]),
    ("downloads", "a>b", "", ["'a>b' given", FOLDER_NAME]),
    ("device", "gpu", "", ["'gpu' given", "allowed: one of auto, cpu, cuda"]),
    ("device", None, "", ["null given", "allowed: one of auto, cpu, cuda"]),
    ("device", 0, "", ["0 given", "allowed: one of auto, cpu, cuda"]),
    ("data", None, "", ["null given", "allowed: a section with the keys source, path"]),
    ("data", "digits", "", ["'digits' given", "allowed: a section with the keys source, path"]),
    ("data", [1], "", ["[1] given", "allowed: a section"]),
    ("data.source", "cifar100", "", ["'cifar100' given", "cifar10, archive, pictures, digits"]),
    ("data.source", {"a": 1}, "", ["{'a': 1} given", "cifar10, archive, pictures, digits"]),
    (
        "data.source",
        "archive",
        "data.path",
        ["null given", "a file, which the source archive needs"],
    ),
    ("data.source", "pictures", "data.path", ["null given", "a file or folder", "pictures needs"]),
    ("data.path", "x.tar", "", ["'x.tar' given", "allowed: null, because the source cifar10"]),
    ("data.path", 7, "", ["7 given", "allowed: a path, or null", "put it in quotes"]),
    ("data.path", "", "", ["'' given", "allowed: null"]),
    ("data", {"source": "digits", "path": "x"}, "data.path", ["'x' given", "null", "digits"]),
    (
        "data",
        {"source": "archive", "path": "/no/such.tar.gz"},
        "data.path",
        ["'/no/such.tar.gz' given", "allowed: a file that exists"],
    ),
    (
        "data",
        {"source": "pictures", "path": "x" * 5000},
        "data.path",
        ["xxx... given", "allowed: a file or folder that exists"],
    ),
    (
        "data",
        {"source": "pictures", "path": "a\0b"},
        "data.path",
        [r"'a\x00b' given", "allowed: a file or folder that exists"],
    ),
    (
        "data",
        {"source": "archive", "path": str(FOLDER)},
        "data.path",
        [f"{str(FOLDER)!r} given", "allowed: a file", "set source to pictures"],
    ),
    ("data.sha256", "f00", "", ["'f00' given", "64 hexadecimal digits, or null"]),
    ("data.sha256", "g" * 64, "", ["gggg' given", "64 hexadecimal digits, or null"]),
    ("data.sha256", "a" * 64 + "\n", "", [r"\n' given", "64 hexadecimal digits, or null"]),
    ("data.sha256", 12, "", ["12 given", "64 hexadecimal digits", "put it in quotes"]),
    (
        "data",
        {"source": "digits", "sha256": "a" * 64},
        "data.sha256",
        ["aaaa' given", "allowed: null, because the source digits has no file"],
    ),
    ("data.mirrors", "torchvision", "", ["'torchvision' given", "list", '["torchvision"]']),
    ("data.mirrors", [], "", ["[] given", "allowed: a non-empty list", "torchvision"]),
    ("data.mirrors", [""], "data.mirrors[0]", ["'' given", "http://, https:// or file://"]),
    ("data.mirrors", ["torchvision", "ftp://x"], "data.mirrors[1]", ["'ftp://x'", "https://"]),
    ("data.mirrors", ["https://"], "data.mirrors[0]", ["'https://' given", "starts with"]),
    ("data.mirrors", ["torchvision\n"], "data.mirrors[0]", [r"'torchvision\n'", "starts with"]),
    ("data.mirrors", [None], "data.mirrors[0]", ["null given", "starts with"]),
    ("data.retries", 0, "", ["0 given", "allowed: an integer >= 1 and <= 20"]),
    ("data.retries", 21, "", ["21 given", "allowed: an integer >= 1 and <= 20"]),
    ("data.retries", True, "", ["true given", "allowed: an integer >= 1 and <= 20"]),
    ("data.train_per_class", 0, "", ["0 given", "allowed: an integer >= 1, or null"]),
    ("data.train_per_class", "all", "", ["'all' given", "allowed: an integer >= 1, or null"]),
    ("data.test_per_class", 1.5, "", ["1.5 given", "allowed: an integer >= 1, or null"]),
    ("data.subset_seed", -1, "", ["-1 given", "allowed: an integer >= 0"]),
    ("networks", None, "", ["null given", "allowed: a section with the keys width"]),
    ("networks.width", 0, "", ["0 given", NEEDS_INTEGER]),
    ("networks.width", math.nan, "", ["nan given", NEEDS_INTEGER]),
    ("networks.width", [16], "", ["[16] given", NEEDS_INTEGER]),
    ("training", None, "", ["null given", "section with the keys simplified, fully_fledged"]),
    (S, None, "", ["null given", "allowed: a section with the keys epochs, batch_size"]),
    (F, 3, "", ["3 given", "allowed: a section with the keys epochs, batch_size"]),
    (f"{S}.epochs", 0, "", ["0 given", NEEDS_INTEGER]),
    (f"{S}.epochs", 20.0, "", ["20.0 given", NEEDS_INTEGER, "(write 20)"]),
    (f"{S}.epochs", "20.0", "", ["20.0 given", NEEDS_INTEGER, "(write 20)"]),
    (f"{S}.epochs", True, "", ["true given", NEEDS_INTEGER]),
    (f"{S}.epochs", None, "", ["null given", NEEDS_INTEGER, "leave the key out"]),
    (f"{S}.epochs", "many", "", ["'many' given", NEEDS_INTEGER]),
    (f"{F}.batch_size", -8, "", ["-8 given", NEEDS_INTEGER]),
    (f"{S}.learning_rate", 0, "", ["0 given", "allowed: a number > 0"]),
    (f"{S}.learning_rate", math.inf, "", ["inf given", "allowed: a number > 0"]),
    (f"{S}.learning_rate", math.nan, "", ["nan given", "allowed: a number > 0"]),
    (f"{S}.learning_rate", 10**400, "", ["000... given", "allowed: a number > 0"]),
    (f"{S}.learning_rate", True, "", ["true given", "allowed: a number > 0"]),
    (f"{S}.learning_rate", "0,1", "", ["'0,1' given", "allowed: a number > 0"]),
    (f"{S}.milestones", 0.5, "", ["0.5 given", "allowed: a list, each item a number > 0 and < 1"]),
    (f"{S}.milestones", [0.75, 0.5], "", ["[0.75, 0.5] given", "in increasing order"]),
    (f"{S}.milestones", [0.5, 0.5], "", ["[0.5, 0.5] given", "in increasing order"]),
    (f"{S}.milestones", [0.5, 100], f"{S}.milestones[1]", ["100 given", "a number > 0 and < 1"]),
    (f"{S}.milestones", [0.0], f"{S}.milestones[0]", ["0.0 given", "a number > 0 and < 1"]),
    (f"{S}.milestones", ["half"], f"{S}.milestones[0]", ["'half' given", "a number > 0 and < 1"]),
    (f"{S}.milestones", [math.nan, 0.5], f"{S}.milestones[0]", ["nan given", "number > 0 and < 1"]),
    (f"{S}.decay_factor", 0, "", ["0 given", "allowed: a number > 0 and <= 1"]),
    (f"{S}.decay_factor", 10, "", ["10 given", "allowed: a number > 0 and <= 1"]),
    (f"{S}.momentum", 1, "", ["1 given", "allowed: a number >= 0 and < 1"]),
    (f"{S}.momentum", -0.5, "", ["-0.5 given", "allowed: a number >= 0 and < 1"]),
    (f"{S}.penalty", -1.0e-4, "", ["-0.0001 given", "allowed: a number >= 0"]),
    (f"{S}.penalty", "1e-4", "", ["'1e-4' given", "a number >= 0", "write 1.0e-4)"]),
    (f"{F}.penalty", "5E4", "", ["'5E4' given", "a number >= 0", "write 5.0e+4)"]),
    (f"{F}.penalty", "2.5e3", "", ["'2.5e3' given", "a number >= 0", "write 2.5e+3)"]),
    (f"{S}.penalty", ".nan", "", ["nan given", "allowed: a number >= 0"]),
    (f"{S}.penalty_divided_by_batch", 1, "", ["1 given", "allowed: true or false"]),
    (f"{S}.penalty_on_biases", "maybe", "", ["'maybe' given", "allowed: true or false"]),
    (f"{S}.penalty_on_transferred", None, "", ["null given", "allowed: true or false"]),
    (f"{S}.crop_padding", -1, "", ["-1 given", "allowed: an integer >= 0"]),
    (f"{S}.horizontal_flip", 0.5, "", ["0.5 given", "allowed: true or false"]),
    (f"{S}.precision", "double", "", ["'double' given", "one of float32, float64, bfloat16"]),
    (f"{S}.precision", 32, "", ["32 given", "one of float32, float64, bfloat16"]),
    (f"{S}.allow_tf32", {}, "", ["{} given", "allowed: true or false"]),
    (f"{S}.compile", "", "", ["'' given", "allowed: true or false"]),
    (
        f"{S}.snapshot_epochs",
        5,
        "",
        ["5 given", "a list without repetitions, each item an integer"],
    ),
    (f"{S}.snapshot_epochs", [5, 5], "", ["[5, 5] given", "a list without repetitions"]),
    (f"{S}.snapshot_epochs", [0], f"{S}.snapshot_epochs[0]", ["0 given", NEEDS_INTEGER]),
    (
        f"{S}.snapshot_epochs",
        [1, 201],
        f"{S}.snapshot_epochs[1]",
        [
            "201 given",
            "allowed: an integer >= 1 and <= 200, the value of training.simplified.epochs",
        ],
    ),
    ("table1", [], "", ["[] given", "allowed: a section with the keys depths, seeds"]),
    ("table1.depths", 20, "", ["20 given", "a non-empty list", "for example [20, 32, 44]"]),
    ("table1.depths", "20", "", ["'20' given", "a non-empty list", "for example [20, 32, 44]"]),
    ("table1.depths", [], "", ["[] given", "allowed: a non-empty list without repetitions"]),
    ("table1.depths", [20, 20], "", ["[20, 20] given", "list without repetitions"]),
    ("table1.depths", [20, 21], "table1.depths[1]", ["21 given", "6n + 2", "20 and 26"]),
    ("table1.depths", [31], "table1.depths[0]", ["31 given", "6n + 2", "26 and 32"]),
    ("table1.depths", [2], "table1.depths[0]", ["2 given", "6n + 2 with n >= 1", "8 and 14"]),
    ("table1.depths", [-4], "table1.depths[0]", ["-4 given", "6n + 2 with n >= 1", "8 and 14"]),
    ("table1.depths", [20.0], "table1.depths[0]", ["20.0 given", "6n + 2", "(write 20)"]),
    ("table1.depths", [True], "table1.depths[0]", ["true given", "allowed: an integer 6n + 2"]),
    ("table1.depths", ["deep"], "table1.depths[0]", ["'deep' given", "an integer 6n + 2"]),
    ("table1.depths", [[20]], "table1.depths[0]", ["[20] given", "allowed: an integer 6n + 2"]),
    ("table5.depths", [20, 21], "table5.depths[1]", ["21 given", "6n + 2", "20 and 26"]),
    (
        "table5.lower_full.depths",
        [21],
        "table5.lower_full.depths[0]",
        ["21 given", "6n + 2", "20 and 26"],
    ),
    ("gradient_flow.depth", 30, "", ["30 given", "6n + 2", "26 and 32"]),
    ("gradient_flow.epochs", [0], "gradient_flow.epochs[0]", ["0 given", NEEDS_INTEGER]),
    ("gradient_flow.shallow_share", 0.9, "", ["0.9 given", ">= 0.2 and <= 0.8"]),
    ("gradient_flow.reading", "sets", "", ["'sets' given", "set, single, carriers"]),
    ("gradient_flow.layers", "blocks", "", ["'blocks' given", "all, block-outputs"]),
    ("trivial_case.n", 1, "", ["1 given", "an integer >= 2"]),
    ("trivial_case.q_values", [0.0], "trivial_case.q_values[0]", ["0.0 given", "> 0"]),
    ("trivial_case.layer", 20, "", ["20 given", "< 20", "trivial_case.last_layer"]),
    ("trivial_case.layer_values", [1, 25], "trivial_case.layer_values[1]", ["25 given", "< 20"]),
    ("trivial_case.last_layer", 19, "trivial_case.layer_values[4]", ["19 given", "< 19"]),
    ("table1.seeds", 3, "", ["3 given", "a non-empty list", "for example [1, 2, 3]"]),
    ("table1.seeds", [-1], "table1.seeds[0]", ["-1 given", "an integer >= 0 and <= 2147483647"]),
    ("table1.seeds", [2**31], "table1.seeds[0]", ["2147483648 given", "and <= 2147483647"]),
    ("table1.seeds", [1, 1], "", ["[1, 1] given", "list without repetitions"]),
    ("table1.seeds", [None], "table1.seeds[0]", ["null given", "an integer >= 0"]),
]

UNKNOWN: list[tuple[dict[Any, Any], list[str]]] = [
    (nested(f"{S}.epoch", 3), [f"unknown key 'epoch' in {S}; did you mean 'epochs'?"]),
    (nested("Results", "x"), ["unknown key 'Results' at the top level; did you mean 'results'?"]),
    (nested("epochs", 3), ["at the top level", f"'{S}.epochs' or '{F}.epochs'"]),
    (nested("training.epochs", 3), ["'epochs' in training", f"'{S}.epochs' or '{F}.epochs'"]),
    (nested("train.simplified", {}), ["'train' at the top level; did you mean 'training'?"]),
    (nested("training.simple", {}), ["'simple' in training; did you mean 'simplified'?"]),
    (nested("table1.depth", [20]), ["'depth' in table1; did you mean 'depths'"]),
    (nested("data.device", "cpu"), ["'device' in data; did you mean 'device' at the top level?"]),
    (nested("data.seed", 1), ["unknown key 'seed' in data; did you mean 'subset_seed'"]),
    (nested("seeds", [1]), ["unknown key 'seeds' at the top level; did you mean 'table1.seeds'"]),
    (nested("networks.xyzzy", 1), ["unknown key 'xyzzy' in networks; allowed: width"]),
    (
        {"odd\nkey": 1},
        [r"unknown key 'odd\nkey' at the top level; allowed: results, store, downloads"],
    ),
    ({1: 2}, ["unknown key 1 at the top level; allowed: results, store, downloads, device"]),
    ({None: 2}, ["unknown key null at the top level; allowed: results, store, downloads, device"]),
]


@pytest.mark.parametrize("place", ["workflow", "workflow/scripts", ".", "..", "tests/x"])
def test_links_to_the_code_are_no_results_folder(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = tmp_path / "w"
    link.symlink_to(FOLDER.parent / place)
    (line,) = problems({"results": str(link)})
    assert OWN_FOLDER in line
    link.unlink()
    # A folder of the code may be a link itself, and is refused by both names.
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "docs").symlink_to(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)
    for name in ("docs/x", "elsewhere/x"):
        assert OWN_FOLDER in problems({"results": name})[0]
    link.symlink_to(tmp_path / "scratch")
    assert config.load({"results": str(link)})["results"] == str(link)


@pytest.mark.parametrize(
    ("key", "value", "place", "parts"),
    BROKEN,
    ids=[f"{key}={value!r:.20}".replace("\0", "0") for key, value, _, _ in BROKEN],
)
def test_broken_value_gives_one_line_with_key_value_and_range(
    key: str, value: Any, place: str, parts: list[str]
) -> None:
    lines = problems(nested(key, value))
    assert len(lines) == 1
    assert lines[0].startswith(f"{place or key}: ")
    for part in parts:
        assert part in lines[0]


@pytest.mark.parametrize(("raw", "parts"), UNKNOWN, ids=[parts[0] for _, parts in UNKNOWN])
def test_unknown_key_is_refused_with_a_suggestion(raw: dict[Any, Any], parts: list[str]) -> None:
    lines = problems(raw)
    assert len(lines) == 1
    for part in parts:
        assert part in lines[0]


def test_all_problems_are_listed_at_once() -> None:
    lines = problems(
        {
            "device": "gpu",
            "data": None,
            "training": {"simplified": {"epoch": 1, "epochs": 5, "snapshot_epochs": [9]}},
            "table1": {"depths": [20, 21, "x"]},
        }
    )
    assert sorted(line.split(": ")[0] for line in lines) == [
        "data",
        "device",
        "table1.depths[1]",
        "table1.depths[2]",
        "training.simplified.snapshot_epochs[0]",
        "unknown key 'epoch' in training.simplified; did you mean 'epochs'?",
    ]


def test_a_configuration_that_is_no_mapping_is_refused() -> None:
    assert problems([1])[0].startswith("the configuration: [1] given, allowed: a section")  # type: ignore[arg-type]


def test_defaults_are_the_papers() -> None:
    loaded = config.load({})
    assert loaded["results"] == "results"
    assert loaded["table1"] == {"depths": [20, 32, 44], "seeds": [1, 2, 3]}
    plain = loaded["training"]["simplified"]
    full = loaded["training"]["fully_fledged"]
    assert (plain["epochs"], plain["batch_size"], plain["penalty"]) == (200, 128, 1e-4)
    assert {key: (plain[key], full[key]) for key in plain if plain[key] != full[key]} == {
        "learning_rate": (0.005, 0.1),
        "penalty_divided_by_batch": (True, False),
        "penalty_on_biases": (False, True),
        "penalty_on_transferred": (True, False),
    }


def test_runs_of_the_gradient_flow_keep_what_it_measures() -> None:
    raw = {
        "training": {"simplified": {"epochs": 20, "snapshot_epochs": [3]}},
        "gradient_flow": {"depth": 14, "seeds": [4], "epochs": [5, 2, 20, 30]},
    }
    loaded = config.load(raw)

    def kept(*run: Any) -> tuple[int, ...]:
        return run_spec(loaded, *run).recipe.snapshot_epochs

    def measured(*run: Any) -> tuple[int, ...]:
        return gradient_flow_spec(loaded, run_spec(loaded, *run).recipe).epochs

    assert kept("residual", 14, "hmwi", 4) == (2, 3, 5)
    assert kept("full-residual", 14, "kwi", 4) == (2, 5, 20, 30)
    others = [("residual", 14, "hmwi", 1), ("residual", 20, "hmwi", 4), ("plain", 14, "hmwi", 4)]
    assert [kept(*run) for run in others] == [(3,)] * 3
    assert measured("residual", 14, "hmwi", 4) == (2, 5)
    assert measured("full-residual", 14, "kwi", 4) == (2, 5, 20, 30)
    # Another run can be measured too, at the moments that every run keeps.
    assert measured("plain", 20, "kwi", 4) == ()


def test_table5_compares_runs_of_the_same_seeds() -> None:
    section = {"depths": [8, 14], "seeds": [1, 2], "lower_full": {"depths": [14, 20]}}
    runs = grid.table5_runs(config.load({"table5": section}))
    assert len(set(runs)) == len(runs) == 2 * (3 + 2 + 2 + 2)
    kinds = {(run.architecture == "plain", run.initialisation) for run in runs}
    assert kinds == {(False, "hmwi"), (True, "t-hmwi")}
    depths = {
        name: {run.depth for run in runs if run.architecture == name} for name in ARCHITECTURES
    }
    assert depths["residual"] == {8, 14, 20}
    assert depths["dominant-path"] == depths["plain"] == {8, 14}
    assert depths["dominant-path-lower-full"] == {14, 20}


def test_family_defaults_stay_when_other_keys_are_given() -> None:
    recipe = config.load(nested(f"{F}.epochs", 10))["training"]["fully_fledged"]
    assert (recipe["epochs"], recipe["learning_rate"]) == (10, 0.1)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_configurations_load(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER.parent)
    raw = read(name)
    loaded = config.load(raw)
    for key in ("results", "device"):
        assert loaded[key] == raw[key]
    assert loaded["table1"] == raw["table1"]


def test_main_configuration_states_the_defaults() -> None:
    assert config.load(read("config.yaml")) == config.load({})


def test_shipped_configurations_have_results_folders_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(FOLDER.parent)
    assert len({config.load(read(name))["results"] for name in SHIPPED}) == len(SHIPPED)


def test_paper_numbers_cover_the_papers_depths() -> None:
    table = yaml.safe_load((FOLDER / "paper.yaml").read_text(encoding="utf-8"))["table1"]
    assert list(table) == config.load({})["table1"]["depths"]
    for networks in table.values():
        assert list(networks) == ["plain", "residual"]
        for numbers in networks.values():
            assert list(numbers) == ["risk", "cost", "test_error"]
            assert 0 < numbers["risk"] < numbers["cost"] < 1
    # The paper's own ratios of depth 44 to depth 20.
    risk = {kind: table[44][kind]["risk"] / table[20][kind]["risk"] for kind in table[20]}
    assert risk == {
        "plain": pytest.approx(6.85, abs=0.005),
        "residual": pytest.approx(1.73, abs=0.005),
    }


def test_input_is_not_changed_and_not_shared() -> None:
    raw = read("quick.yaml")
    before = copy.deepcopy(raw)
    loaded = config.load(raw)
    loaded["table1"]["depths"].append(0)
    loaded["training"]["simplified"]["milestones"].append(0)
    assert raw == before
    assert config.load({})["training"]["simplified"]["milestones"] == [0.5, 0.75]


def test_values_of_sections_on_the_command_line() -> None:
    """Snakemake hands over what is inside braces as text, numbers and null too."""
    raw = read("cifar10-short.yaml")
    entries = [
        "device=cpu",
        "data={source: digits, path: null, train_per_class: 20, test_per_class: null}",
        "training={simplified: {epochs: 3, penalty: 1.0e-4, milestones: [0.5], compile: true}}",
        "table1={depths: [8, 14], seeds: [7]}",
    ]
    update_config(raw, parse_config(entries))
    loaded = config.load(raw)
    assert loaded["data"]["train_per_class"] == 20
    assert loaded["data"]["path"] is None
    recipe = loaded["training"]["simplified"]
    assert (recipe["epochs"], recipe["penalty"], recipe["compile"]) == (3, 1e-4, True)
    assert recipe["milestones"] == [0.5]
    assert loaded["table1"] == {"depths": [8, 14], "seeds": [7]}


def test_equal_values_give_equal_specifications() -> None:
    """Else a run would be stale because 1 was written as 1.0."""
    one = nested(S, {"decay_factor": 1, "learning_rate": 1})
    same = nested(S, {"decay_factor": "1.0", "learning_rate": 1.0})
    assert (
        recipe_spec(config.load(one), "plain").to_json()
        == recipe_spec(config.load(same), "plain").to_json()
    )


def test_paths_and_checksums_are_normalised(tmp_path: Path) -> None:
    raw = {
        "results": "./out//",
        "data": {"source": "archive", "path": f"{tmp_path}//a.tar.gz", "sha256": "AB" * 32},
    }
    (tmp_path / "a.tar.gz").touch()
    loaded = config.load(raw)
    assert loaded["results"] == "out"
    assert loaded["data"]["path"] == f"{tmp_path}/a.tar.gz"
    assert loaded["data"]["sha256"] == "ab" * 32


@pytest.mark.parametrize(
    "raw",
    [
        nested(S, {"precision": "bfloat16", "allow_tf32": True}),
        nested(S, {"precision": "float64", "compile": True}),
        nested(S, {"milestones": [], "penalty": 0, "momentum": 0, "crop_padding": 0}),
        nested(S, {"epochs": 3, "snapshot_epochs": [3, 1]}),
        nested("data", {"source": "digits", "mirrors": ["https://a.org/c.tar.gz"], "retries": 1}),
        nested("data", {"source": "pictures", "path": str(FOLDER), "sha256": "a" * 64}),
        nested("data.mirrors", ["file:///data/c.tar.gz", "torchvision", "http://a.org/c.tar.gz"]),
        nested("table1.seeds", [0, 2**31 - 1]),
        nested("table1.depths", [8, 110]),
        nested("results", "/scratch/some one/results"),
        nested("results", "configurations"),
    ],
    ids=str,
)
def test_valid_configurations_load(raw: dict[str, Any]) -> None:
    loaded = config.load(raw)
    assert config.load(loaded) == loaded


def test_working_directory_and_its_parents_are_no_results_folder(tmp_path: Path) -> None:
    for folder in (".", "..", str(tmp_path), str(tmp_path.parent), "config"):
        assert OWN_FOLDER in problems({"results": folder})[0]
    assert config.load({"results": "../elsewhere"})["results"] == "../elsewhere"


def test_specifications_go_to_json_and_back() -> None:
    loaded = config.load(read("quick.yaml"))
    data = data_spec(loaded)
    assert DataSpec.from_json(data.to_json()) == data
    assert data.source == "digits"
    for architecture in ARCHITECTURES:
        recipe = recipe_spec(loaded, architecture)
        assert RecipeSpec.from_json(recipe.to_json()) == recipe
        run = run_spec(loaded, architecture, 8, "kwi", 2)
        assert RunSpec.from_json(run.to_json()) == run
        assert run.recipe == recipe
        assert (run.network.architecture, run.network.depth) == (architecture, 8)
        assert (run.network.width, run.initialisation, run.seed) == (8, "kwi", 2)


def test_architectures_take_the_recipe_of_their_family() -> None:
    loaded = config.load({})
    rates = [recipe_spec(loaded, name).learning_rate for name in ARCHITECTURES]
    assert rates == [0.005, 0.005, 0.1, 0.1, 0.005, 0.005]
    with pytest.raises(ResnoiseError, match="'vgg'"):
        recipe_spec(loaded, "vgg")


def raw_schema() -> dict[str, Any]:
    schema: dict[str, Any] = yaml.safe_load(SCHEMA_PATH.read_text(encoding="utf-8"))
    return schema


def keys(schema: dict[str, Any], location: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every key of the schema with its description, those of $defs once."""
    for name, child in schema.get("properties", {}).items():
        yield f"{location}{name}", child
        yield from keys(child, f"{location}{name}.")
    for name, child in schema.get("$defs", {}).items():
        yield from keys(child, f"{name}.")


def test_schema_is_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(raw_schema())


def test_defaults_validate_against_the_schema_alone() -> None:
    """So that editors and other tools that read the schema agree with this module."""
    validator = jsonschema.Draft202012Validator(raw_schema())
    for raw in ({}, config.load({}), *(read(name) for name in SHIPPED)):
        validator.validate(raw)


@pytest.mark.parametrize(
    ("key", "schema"), list(keys(raw_schema())), ids=[key for key, _ in keys(raw_schema())]
)
def test_every_key_is_described_and_has_a_valid_default(key: str, schema: dict[str, Any]) -> None:
    assert schema["description"].endswith("."), key
    definitions = {"$defs": raw_schema()["$defs"]}
    jsonschema.Draft202012Validator(schema | definitions).validate(schema["default"])
    if "$ref" not in schema:
        assert "type" in schema
    if "properties" in schema:
        assert schema["additionalProperties"] is False


def test_recipe_of_the_schema_has_the_fields_of_the_specification() -> None:
    recipe = raw_schema()["$defs"]["recipe"]
    assert recipe["additionalProperties"] is False
    assert list(recipe["properties"]) == [field.name for field in dataclasses.fields(RecipeSpec)]


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(
        ["1e-4", "null", "~", "0x_", "1:30", "2024-13-45", "=", "_1", ".inf", "archive"]
    )
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(LEAVES, inner, max_size=3),
    max_leaves=6,
)
PLACES = [key for key, _ in keys(raw_schema()) if not key.startswith("recipe.")]
PLACES += [f"{S}.{name}" for name in raw_schema()["$defs"]["recipe"]["properties"]]
KEYS = st.sampled_from([*PLACES, "unknown", "data.unknown"])


@settings(max_examples=400, deadline=None, database=None)
@given(st.lists(st.tuples(KEYS, VALUES), max_size=3))
def test_no_values_make_it_stumble(items: list[tuple[str, Any]]) -> None:
    raw: dict[str, Any] = {}
    for key, value in items:
        update_config(raw, nested(key, copy.deepcopy(value)))
    before = repr(raw)
    try:
        loaded = config.load(raw)
    except ResnoiseError as error:
        assert all(line.isprintable() and len(line) > 20 for line in str(error).split("\n"))
    else:
        assert config.load(json.loads(json.dumps(loaded, allow_nan=False))) == loaded
        for architecture in ARCHITECTURES:
            run = run_spec(loaded, architecture, 8, "kwi", 1)
            assert RunSpec.from_json(run.to_json()) == run
    assert repr(raw) == before


def test_a_list_of_sections_is_completed_and_checked_item_by_item(tmp_path: Path) -> None:
    file = tmp_path / "net.pt"
    file.write_bytes(b"")
    given = {"name": "mine", "path": str(file), "mean": [0, 0.5, 1], "std": [1, 1, 1]}
    (loaded,) = config.load({"external": [given]})["external"]
    from_weights = {"module": None, "factory": None, "between": [], "rename": {}}
    assert loaded == {**given, **from_weights, "residual": True, "shortcut": "auto"}
    assert [type(number) for number in loaded["mean"]] == [float] * 3
    assert config.load({})["external"] == []


EXTERNAL_MISTAKES = {
    "no list": ({"name": "a"}, "external: {'name': 'a'} given, allowed: a list of sections"),
    "no section": (["a.pt"], "external[0]: 'a.pt' given, allowed: a section with the keys name"),
    "no name": ([{"path": "a.pt"}], "external[0].name: missing, needed: a name of at most 100"),
    "folder": ([{"name": "../a", "path": "a.pt"}], "external[0].name: '../a' given, allowed: a"),
    "twice": (
        [{"name": "a", "path": "a.pt"}, {"name": "a", "path": "a.pt"}],
        "external[1].name: 'a' given, allowed: a name that no other",
    ),
    "no file": ([{"name": "a", "path": "b.pt"}], "external[0].path: 'b.pt' given, allowed: a file"),
    "nothing": ([{"name": "a"}], "external[0].path: null given, allowed: a path, or null if mod"),
    "no module": (
        [{"name": "a", "module": "b.py", "factory": "make"}],
        "external[0].module: 'b.py' given, allowed: a file",
    ),
    "no factory": (
        [{"name": "a", "module": "a.pt"}],
        "external[0].factory: null given, allowed: a name that the file module defines",
    ),
    "factory alone": (
        [{"name": "a", "path": "a.pt", "factory": "make"}],
        "external[0].factory: 'make' given, allowed: a name that the file module defines, and null",
    ),
    "half": (
        [{"name": "a", "path": "a.pt", "mean": [0, 0, 0]}],
        "external[0].std: null given, allowed: a list if mean is one",
    ),
    "two numbers": (
        [{"name": "a", "path": "a.pt", "mean": [0, 0], "std": [1, 1, 1]}],
        "external[0].mean: [0, 0] given, allowed: one number for each channel, which is one or "
        "three, or null",
    ),
    "pixels from 0 to 255": (
        [{"name": "a", "path": "a.pt", "mean": [125.3, 0, 0], "std": [63, 62, 66]}],
        "external[0].mean[0]: 125.3 given, allowed: a number <= 1, because pixels are from 0",
    ),
    "a new name that is no text": (
        [{"name": "a", "path": "a.pt", "rename": {"a.": 3}}],
        "external[0].rename: {'a.': 3} given, allowed: texts, or null, under beginnings",
    ),
    "not positive": (
        [{"name": "a", "path": "a.pt", "mean": [0, 0, 0], "std": [1, 0, 1]}],
        "external[0].std[1]: 0 given, allowed: a number > 0",
    ),
    "unknown key": (
        [{"name": "a", "path": "a.pt", "shrotcut": "stacked"}],
        "unknown key 'shrotcut' in external[0]; did you mean 'shortcut'?",
    ),
}


@pytest.mark.parametrize("mistake", EXTERNAL_MISTAKES)
def test_mistakes_in_external_networks_are_named(mistake: str) -> None:
    networks, message = EXTERNAL_MISTAKES[mistake]
    Path("a.pt").write_bytes(b"")
    found = problems({"external": networks})
    assert any(line.startswith(message) for line in found), found


RUN = {"architecture": "residual", "initialisation": "hmwi", "depths": [14], "seeds": [2]}


def test_further_runs_are_each_made_once() -> None:
    loaded = config.load(
        {
            "table1": {"depths": [14], "seeds": [2]},
            "runs": [RUN, {**RUN, "seeds": ["2", "3"]}, {**RUN, "architecture": "full-plain"}],
        }
    )
    runs = grid.further_runs(loaded)
    assert [(run.architecture, run.seed) for run in runs] == [
        ("residual", 2),
        ("residual", 3),
        ("full-plain", 2),
    ]
    # Metrics are of the runs of Table 1, of which one is among these, and of these.
    assert len(grid.metric_runs(loaded)) == 4
    short = {"architecture": "plain", "initialisation": "kwi"}
    (completed,) = config.load({"runs": [short]})["runs"]
    assert completed == {**short, "depths": [20, 32, 44], "seeds": [1, 2, 3]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "resnet"}, "runs[0].architecture: 'resnet' given, allowed: one of plain"),
        ({"initialisation": "zero"}, "runs[0].initialisation: 'zero' given, allowed: one of kwi"),
        ({"depths": [14, 15]}, "runs[0].depths[1]: 15 given, allowed: an integer 6n + 2"),
        ({"depths": 14}, "runs[0].depths: 14 given, allowed: a non-empty list"),
        ({"seed": 1}, "unknown key 'seed' in runs[0]; did you mean 'seeds'"),
    ],
)
def test_mistakes_in_further_runs_are_named(change: dict[str, Any], message: str) -> None:
    (line,) = problems({"runs": [{**RUN, **change}]})
    assert line.startswith(message)


def test_names_of_the_registry_are_allowed_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    source = registry.Source("resnoise.data.digits")
    monkeypatch.setitem(registry.SOURCES, "mine", source)
    read_schema.cache_clear()
    validator.cache_clear()
    try:
        assert config.load({"data": {"source": "mine"}})["data"]["source"] == "mine"
        differences = scale.differences(config.load({"data": {"source": "mine"}}), config.load({}))
        assert differences["data"] == ["mine instead of CIFAR-10"]
        (line,) = problems({"data": {"source": "mine", "sha256": "a" * 64}})
        assert "allowed: null, because the source mine has no file" in line
    finally:
        read_schema.cache_clear()
        validator.cache_clear()


def test_what_few_pictures_let_pass_passes_when_it_is_written_out() -> None:
    few = {
        "data": {"source": "digits", "train_per_class": 5},
        "training": {"simplified": {"batch_size": 20}},
    }
    loaded = config.load(few)
    assert loaded["training"]["fully_fledged"]["batch_size"] > 50
    assert config.load(loaded) == loaded


def test_a_saved_configuration_is_the_one_that_was_loaded(tmp_path: Path) -> None:
    loaded = config.load({"results": str(tmp_path / "results"), "table1": {"depths": [20]}})
    config.save(loaded)
    text = (tmp_path / "results" / config.SAVED).read_text("utf-8")
    assert text.startswith("#") and yaml.safe_load(text) == loaded


def test_leaves_are_dotted_keys_with_lists_as_values() -> None:
    nested_config = {"a": 1, "b": {"c": [1, {"d": 2}], "e": {"f": None}}}
    assert leaves(nested_config) == {"a": 1, "b.c": [1, {"d": 2}], "b.e.f": None}


@pytest.mark.parametrize(
    ("results", "store"),
    [
        *(("results", "results/store"), ("results/quick", "results/store"), ("r", "/x/store")),
        *(("results", "kept"), ("/x/results", "/x/results/store"), ("results", None)),
    ],
)
def test_a_store_beside_the_results_is_accepted(results: str, store: str | None) -> None:
    assert config.load({"results": results, "store": store})["store"] == store


@pytest.mark.parametrize(
    ("results", "store"),
    [
        *(("results", "results/runs"), ("results", "results/store/mine"), ("r", "r")),
        *(("results/store", "results/store"), ("results/store/a", "results/store")),
        *(("r", "rules"), ("r", "."), ("r", "a/../workflow/x")),
    ],
)
def test_a_store_among_results_or_code_is_refused(results: str, store: str) -> None:
    with pytest.raises(ResnoiseError, match=r"^store: .* given, allowed: a folder"):
        config.load({"results": results, "store": store})


def test_a_line_of_the_registry_that_names_what_is_not_there_is_a_mistake(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entry = registry.Architecture("resnoise.networks.simple", family="simple", residual=False)
    monkeypatch.setitem(registry.ARCHITECTURES, "mine", entry)
    monkeypatch.setitem(registry.METRICS, "own", registry.Metric("resnoise.metrics.own"))
    with pytest.raises(ResnoiseError) as caught:
        config.load({})
    assert str(caught.value).splitlines() == [
        "registry.py: family 'simple' given for the architecture mine, allowed: simplified, "
        "fully_fledged",
        "registry.py: module 'resnoise.networks.simple' given for the architecture mine, allowed: "
        "a module of workflow/scripts, such as resnoise.networks.simplified",
        "registry.py: module 'resnoise.metrics.own' given for the metric own, allowed: a module of "
        "workflow/scripts, such as resnoise.networks.simplified",
    ]


def test_the_order_of_snapshots_does_not_count() -> None:
    loaded = [
        config.load({"training": {"simplified": {"snapshot_epochs": epochs}}})
        for epochs in ([20, 10], [10, 20])
    ]
    assert loaded[0] == loaded[1]
