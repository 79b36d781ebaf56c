"""Broken configurations: every key and contradictions between keys; one message each, no more."""

import copy
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from resnoise.config import load as config
from resnoise.config.schema import SCHEMA_PATH, read_schema
from resnoise.errors import ResnoiseError
from resnoise.plan import grid
from resnoise.plan.specs import gradient_flow_spec, recipe_spec, run_spec
from resnoise.registry import ARCHITECTURES

DIGITS = {"source": "digits"}
RECIPE = {"epochs": 4, "batch_size": 20}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a few files."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "pictures").mkdir()
    (folder / "archive.tar.gz").touch()
    (folder / "net.pt").touch()
    (folder / "out").mkdir()
    (folder / "out" / "archive.tar.gz").touch()
    (folder / "theirs/runs/plain-20/kwi/seed1").mkdir(parents=True)
    (folder / "theirs/runs/plain-20/kwi/seed1/run.json").touch()
    return folder


@pytest.fixture(autouse=True)
def _elsewhere(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in that folder, because relative paths count from the working directory."""
    monkeypatch.chdir(place)


def simplified(**recipe: Any) -> dict[str, Any]:
    """Return a configuration with a recipe of simplified networks."""
    return {"training": {"simplified": recipe}}


def external(**network: Any) -> dict[str, Any]:
    """Return a configuration with one network that was trained elsewhere."""
    return {"external": [{"name": "mine", "path": "net.pt", **network}]}


def samples(section: str, number: int) -> dict[str, Any]:
    """Return a configuration with 50 training pictures, of which ``number`` are to be measured."""
    data = {**DIGITS, "train_per_class": 5}
    return {"data": data, **simplified(batch_size=20), section: {"samples": number}}


# What is wrong with it, the key that the message begins with, the value given, what is allowed.
CONTRADICTIONS: list[tuple[str, dict[str, Any], str, str, str]] = [
    (
        "finished runs in a folder without runs",
        {"finished_runs": "out"},
        "finished_runs",
        "'out'",
        "a results folder with finished runs",
    ),
    (
        "finished runs in a file",
        {"finished_runs": "net.pt"},
        "finished_runs",
        "'net.pt'",
        "a results folder with finished runs",
    ),
    (
        "only finished runs, but none are named",
        {"only_finished": True},
        "only_finished",
        "true",
        "false, or true together with finished_runs",
    ),
    (
        "only finished runs, but they are enough for nothing",
        {"finished_runs": "theirs", "only_finished": True},
        "only_finished",
        "true",
        "all runs of a section are in 'theirs'; table1 lacks runs/plain-20/kwi/seed1",
    ),
    (
        "finished runs in a variable",
        {"finished_runs": "$HOME/results"},
        "finished_runs",
        "'$HOME/results'",
        "a path that is written out",
    ),
    (
        "batch larger than the digits",
        {"data": DIGITS, **simplified(batch_size=1443)},
        "training.simplified.batch_size",
        "1443",
        "<= 1442",
    ),
    (
        "default batch larger than the pictures kept",
        {"data": {**DIGITS, "train_per_class": 12}},
        "training.simplified.batch_size",
        "128",
        "<= 120",
    ),
    (
        "batch of fully-fledged networks larger than the pictures kept",
        {
            "data": {"train_per_class": 12},
            "training": {"simplified": RECIPE, "fully_fledged": {"batch_size": 121}},
        },
        "training.fully_fledged.batch_size",
        "121",
        "<= 120",
    ),
    (
        "batch larger than CIFAR-10",
        simplified(batch_size=50_001),
        "training.simplified.batch_size",
        "50001",
        "<= 50000",
    ),
    *(
        (
            f"more samples for {section} than pictures",
            samples(section, 51),
            f"{section}.samples",
            "51",
            "<= 50",
        )
        for section in ("layer_cushion", "noise_stability", "interlayer_cushion", "gradient_flow")
    ),
    (
        "more training pictures than CIFAR-10 has",
        {"data": {"train_per_class": 5001}},
        "data.train_per_class",
        "5001",
        "<= 5000",
    ),
    (
        "more test pictures than CIFAR-10 has",
        {"data": {"test_per_class": 1001}},
        "data.test_per_class",
        "1001",
        "<= 1000",
    ),
    (
        "more training pictures than there are digits",
        {"data": {**DIGITS, "train_per_class": 141}},
        "data.train_per_class",
        "141",
        "<= 140",
    ),
    (
        "more test pictures than there are digits",
        {"data": {**DIGITS, "test_per_class": 35}},
        "data.test_per_class",
        "35",
        "<= 34",
    ),
    (
        "snapshot after the end",
        simplified(epochs=4, snapshot_epochs=[2, 5]),
        "training.simplified.snapshot_epochs[1]",
        "5",
        "<= 4, the value of training.simplified.epochs",
    ),
    (
        "milestones that go back",
        simplified(milestones=[0.75, 0.5]),
        "training.simplified.milestones",
        "[0.75, 0.5]",
        "increasing order",
    ),
    (
        "sizes of noise that go back",
        {"noise_stability": {"sizes": [0.3, 0.1]}},
        "noise_stability.sizes",
        "[0.3, 0.1]",
        "increasing order",
    ),
    (
        "a path for digits",
        {"data": {**DIGITS, "path": "pictures"}},
        "data.path",
        "'pictures'",
        "null, because",
    ),
    (
        "a path for the download",
        {"data": {"path": "archive.tar.gz"}},
        "data.path",
        "'archive.tar.gz'",
        "null, because",
    ),
    ("no path for an archive", {"data": {"source": "archive"}}, "data.path", "null", "a file"),
    (
        "no path for pictures",
        {"data": {"source": "pictures"}},
        "data.path",
        "null",
        "a file or folder",
    ),
    (
        "a folder for an archive",
        {"data": {"source": "archive", "path": "pictures"}},
        "data.path",
        "'pictures'",
        "set source to pictures",
    ),
    (
        "a file that is not there",
        {"data": {"source": "archive", "path": "none.tar.gz"}},
        "data.path",
        "'none.tar.gz'",
        "a file that exists",
    ),
    (
        "a path that reads like an option",
        {"data": {"source": "archive", "path": "--help"}},
        "data.path",
        "'--help'",
        "a path that does not begin with -",
    ),
    (
        "a path with a wildcard",
        {"data": {"source": "archive", "path": "{a}.tar.gz"}},
        "data.path",
        "'{a}.tar.gz'",
        "without the characters { } < >",
    ),
    (
        "a checksum for digits",
        {"data": {**DIGITS, "sha256": "a" * 64}},
        "data.sha256",
        f"'{'a' * 64}'",
        "null, because",
    ),
    (
        "results among the pictures",
        {"results": "pictures/out", "data": {"source": "pictures", "path": "pictures"}},
        "results",
        "'pictures/out'",
        "outside of data.path",
    ),
    (
        "an archive among the results",
        {"results": "out", "data": {"source": "archive", "path": "out/archive.tar.gz"}},
        "data.path",
        "'out/archive.tar.gz'",
        "outside of the results folder 'out'",
    ),
    ("results among the code", {"results": "workflow/x"}, "results", "'workflow/x'", "of its own"),
    ("results that are all files", {"results": ".."}, "results", "'..'", "of its own"),
    ("results in a file", {"results": "net.pt"}, "results", "'net.pt'", "a folder, but this is"),
    ("downloads in a file", {"downloads": "net.pt"}, "downloads", "'net.pt'", "a folder, but this"),
    *(
        (f"a variable in {key}", {key: "$HOME/x"}, key, "'$HOME/x'", "written out")
        for key in ("results", "store", "downloads", "container")
    ),
    ("a home in container", {"container": "~/x.sif"}, "container", "'~/x.sif'", "written out"),
    *(
        (
            f"data.path that only a shell reads, {path}",
            {"data": {"source": "archive", "path": path}},
            "data.path",
            f"'{path}'",
            "written out",
        )
        for path in ("~/archive.tar.gz", "${DATA}/archive.tar.gz")
    ),
    (
        "a network in a home",
        {"external": [{"name": "a", "path": "~/net.pt"}]},
        "external[0].path",
        "'~/net.pt'",
        "written out",
    ),
    ("a name too long", {"results": "x" * 201}, "results", "'xxxx", "at most 200 bytes"),
    (
        "two networks of one name",
        {"external": [{"name": "a", "path": "net.pt"}, {"name": "A", "path": "net.pt"}]},
        "external[1].name",
        "'A'",
        "that no other network",
    ),
    (
        "a network called like a file",
        external(name="Networks.csv"),
        "external[0].name",
        "'Networks.csv'",
        "not that of a file with results of all networks (gradient_flows.*, layer_cushions.*, ",
    ),
    ("no such network", external(path="b.pt"), "external[0].path", "'b.pt'", "a file that exists"),
    ("a folder as network", external(path="out"), "external[0].path", "'out'", "a file that"),
    (
        "mean without deviation",
        external(mean=[0, 0, 0]),
        "external[0].std",
        "null",
        "a list if mean is one",
    ),
    (
        "deviation without mean",
        external(std=[1, 1, 1]),
        "external[0].std",
        "[1, 1, 1]",
        "null if mean is",
    ),
    (
        "a kind of shortcut without shortcuts",
        external(shortcut="stacked", residual=False),
        "external[0].shortcut",
        "'stacked'",
        "auto, because",
    ),
    *(
        (
            f"depth in {section}",
            {section: {"depths": [8, 22]}},
            f"{section}.depths[1]",
            "22",
            "6n + 2",
        )
        for section in (
            "table1",
            "twins",
            "layer_cushion",
            "noise_stability",
            "interlayer_cushion",
            "table5",
        )
    ),
    (
        "depth of the lower half",
        {"table5": {"lower_full": {"depths": [21]}}},
        "table5.lower_full.depths[0]",
        "21",
        "6n + 2",
    ),
    (
        "depth of the gradient flow",
        {"gradient_flow": {"depth": 34}},
        "gradient_flow.depth",
        "34",
        "6n + 2",
    ),
    *(
        (
            f"a seed twice in {section}",
            {section: {"seeds": [3, 1, 3]}},
            f"{section}.seeds",
            "[3, 1, 3]",
            "without repetitions",
        )
        for section in (
            "table1",
            "twins",
            "layer_cushion",
            "noise_stability",
            "interlayer_cushion",
            "table5",
            "gradient_flow",
        )
    ),
    (
        "a network twice",
        {"interlayer_cushion": {"architectures": ["plain", "plain"]}},
        "interlayer_cushion.architectures",
        "['plain', 'plain']",
        "without repetitions",
    ),
    (
        "padding wider than pictures",
        simplified(crop_padding=33),
        "training.simplified.crop_padding",
        "33",
        "an integer >= 0 and <= 32",
    ),
    (
        "an integer that no file can hold",
        {"layer_cushion": {"sample_seed": 2**60}},
        "layer_cushion.sample_seed",
        str(2**60),
        "an integer >= 0",
    ),
    (
        "a dotted name for a section",
        {"training.simplified.epochs": 3},
        "unknown key 'training.simplified.epochs' at the top level; did you mean 'epochs' in the "
        "section training.simplified?",
        "",
        "",
    ),
    (
        "a key of another section",
        {"table1": {"samples": 3}},
        "unknown key 'samples' in table1; did you mean 'seeds' or 'layer_cushion.samples' or ",
        "",
        "",
    ),
]


def leaves(schema: dict[str, Any], location: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the dotted name and the schema of every key that holds a value."""
    for name, child in schema["properties"].items():
        key = f"{location}.{name}" if location else name
        if "properties" in child:
            yield from leaves(child, key)
        elif "properties" in child.get("items", {}):
            yield key, child
            yield from leaves(child["items"], f"{key}[0]")
        else:
            yield key, child


LEAVES = dict(leaves(read_schema(SCHEMA_PATH)))


# What items of lists need besides the key in question.
ITEMS = {
    "external[0]": {"name": "mine", "path": "net.pt"},
    "runs[0]": {"architecture": "plain", "initialisation": "kwi"},
    "others[0]": {"architecture": "plain", "initialisation": "kwi"},
}


def with_value(key: str, value: Any) -> dict[str, Any]:
    """Return a configuration in which only ``key`` is given, and what it needs."""
    for part in reversed(key.split(".")):
        if part in ITEMS:
            value = [{**ITEMS[part], **value}]
        value = {part.removesuffix("[0]"): value}
    assert isinstance(value, dict)
    return value


def broken_values(schema: dict[str, Any]) -> Iterator[Any]:
    """Yield values that a key must refuse: of another type, and just outside of its range."""
    types = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    yield {"a": 1}
    if "null" not in types:
        yield None
    if "array" not in types:
        yield ["x"]
    if not {"string", "array"} & {*types}:
        yield "such a thing"
    if "boolean" not in types:
        yield True
    if "integer" in types:
        yield 2.5
        yield 2**53 + 1
    if {"integer", "number"} & {*types}:
        yield float("nan")
        yield from (schema[word] - 1 for word in ("minimum",) if word in schema)
        yield from (schema[word] + 1 for word in ("maximum",) if word in schema)
        bounds = ("exclusiveMinimum", "exclusiveMaximum")
        yield from (schema[word] for word in bounds if word in schema)
    if "enum" in schema:
        yield schema["enum"][0].upper()
        yield schema["enum"][0] + " "
    if "array" in types:
        yield "x"
        if schema.get("minItems"):
            yield []
        if schema.get("uniqueItems") and schema["default"]:
            yield [schema["default"][0]] * 2


KEYS = [(key, value) for key, schema in LEAVES.items() for value in broken_values(schema)]


def message(raw: dict[str, Any]) -> str:
    """Return the one message that a broken configuration gives."""
    with pytest.raises(ResnoiseError) as caught:
        config.load(raw)
    (line,) = str(caught.value).split("\n")
    assert line.isprintable()
    return line


@pytest.mark.parametrize(
    ("raw", "key", "value", "allowed"),
    [pytest.param(*rest, id=name) for name, *rest in CONTRADICTIONS],
)
def test_a_contradiction_gives_one_message_with_key_value_and_what_is_allowed(
    raw: dict[str, Any], key: str, value: str, allowed: str
) -> None:
    line = message(raw)
    if not value:
        assert line.startswith(f"{key}"), line
        return
    name, _, rest = line.partition(": ")
    assert name == key, line
    assert rest.startswith(value), line
    assert allowed in rest.partition(" given, allowed: ")[2], line


@pytest.mark.parametrize(("key", "value"), KEYS, ids=[f"{key}={v!r:.20}" for key, v in KEYS])
def test_every_key_refuses_other_types_and_what_is_out_of_range(key: str, value: Any) -> None:
    line = message(with_value(key, value))
    name, _, rest = line.partition(": ")
    assert name == key, line
    shown, separator, allowed = rest.partition(" given, allowed: ")
    assert separator, line
    assert shown == (json.dumps(value) if value is None or value is True else repr(value)), line
    assert len(allowed) > 5, line


@pytest.mark.parametrize("key", LEAVES)
def test_every_key_misspelt_is_named_with_the_right_one(key: str) -> None:
    raw = with_value(key + "_", 1)
    section, _, name = key.rpartition(".")
    line = message(raw)
    assert line.startswith(f"unknown key '{name}_' {f'in {section}' if section else 'at the top'}")
    assert f"'{name}'" in line


def test_contradictions_are_many_and_are_no_contradictions_without_the_value() -> None:
    """The table is of mistakes: an empty configuration, and its parts that are fine, load."""
    assert len(CONTRADICTIONS) >= 50
    assert len({name for name, *_ in CONTRADICTIONS}) == len(CONTRADICTIONS)
    for raw in (
        {},
        {"data": DIGITS, **simplified(batch_size=1442)},
        {"data": {**DIGITS, "train_per_class": 140, "test_per_class": 34}},
        samples("layer_cushion", 50),
        external(shortcut="stacked"),
        {"results": "out", "data": {"source": "pictures", "path": "pictures"}},
    ):
        config.load(raw)


def valid_values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return a strategy for values that a schema allows, as far as one key can say."""
    types = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kinds: dict[str, st.SearchStrategy[Any]] = {
        "null": st.none(),
        "boolean": st.booleans(),
        "string": st.just(schema.get("default", "out")),
    }
    low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
    high = schema.get("maximum", schema.get("exclusiveMaximum", low + 60))
    kinds["number"] = st.floats(
        low,
        high,
        exclude_min="exclusiveMinimum" in schema,
        exclude_max="exclusiveMaximum" in schema,
    )
    depth = "6n + 2" in schema.get("title", "")
    kinds["integer"] = (
        st.integers(1, 20).map(lambda n: 6 * n + 2) if depth else st.integers(low, high)
    )
    if "array" in types:
        kinds["array"] = st.lists(
            valid_values(schema["items"]),
            min_size=schema.get("minItems", 0),
            max_size=schema.get("maxItems", 4),
            unique=schema.get("uniqueItems", False),
        ).map(sorted if schema["items"]["type"] == "number" else list)
    return st.one_of([kinds[name] for name in types])


FUZZED = {
    key: schema
    for key, schema in LEAVES.items()
    # Lists of sections, which hold what no key alone says, have tests of their own.
    if not key.startswith(("external", "runs", "conjecture.others")) and key != "data.mirrors"
}
ODD = st.sampled_from(
    [None, True, 0, -1, 2**31, 2**64, 1.5, float("nan"), float("inf"), "", "x", "1e-4", "{", "\0"]
) | st.sampled_from([[], {}, [[]], {"": {}}, {1: 2}, ["x", 1], [None], [1, 1], [{}], [True]])


@st.composite
def configurations(draw: st.DrawFn, mistakes: bool) -> dict[str, Any]:
    """Draw valid values of some keys; perhaps break the configuration in up to three places."""
    raw: dict[str, Any] = {}
    for key in draw(st.lists(st.sampled_from(sorted(FUZZED)), max_size=8, unique=True)):
        _set(raw, key, draw(valid_values(FUZZED[key])))
    if mistakes:
        places = [*LEAVES, "data", "training", "training.simplified", "table5.lower_full", "x"]
        for key in draw(st.lists(st.sampled_from(sorted(places)), min_size=1, max_size=3)):
            _set(raw, key, copy.deepcopy(draw(ODD)))
    return raw


def _set(raw: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key, replacing what is in the way."""
    *path, name = key.replace("[0]", "").split(".")

    def below(section: dict[str, Any], part: str) -> dict[str, Any]:
        if not isinstance(section.get(part), dict):
            section[part] = {}
        found: dict[str, Any] = section[part]
        return found

    functools.reduce(below, path, raw)[name] = value


@settings(max_examples=150, database=None)
@given(configurations(mistakes=True))
def test_mutated_configurations_give_messages_and_nothing_else(raw: dict[str, Any]) -> None:
    before = repr(raw)
    try:
        check_loaded(config.load(raw))
    except ResnoiseError as error:
        lines = str(error).split("\n")
        assert all(line.isprintable() for line in lines)
        assert len({line.partition(" given")[0] for line in lines}) == len(lines)
    assert repr(raw) == before


@settings(max_examples=100, database=None)
@given(configurations(mistakes=False))
def test_only_contradictions_are_refused_in_valid_values(raw: dict[str, Any]) -> None:
    try:
        check_loaded(config.load(raw))
    except ResnoiseError as error:
        for line in str(error).split("\n"):
            name, _, rest = line.partition(": ")
            # These are the keys that contradict others.
            assert name.split(".")[-1].partition("[")[0] in {
                "batch_size",
                "samples",
                "snapshot_epochs",
                "milestones",
                "layer",
                "layer_values",
                "path",
                "train_per_class",
                "test_per_class",
                "sha256",
                "doses",
                "initialisation",
                "only_finished",
            }, line
            assert " given, allowed: " in rest


def check_loaded(loaded: dict[str, Any]) -> None:
    """Check that a loaded configuration is one, and that every run of it has a specification."""
    assert config.load(yaml.safe_load(yaml.safe_dump(loaded))) == loaded
    for runs in (grid.table1_runs, grid.table5_runs, grid.gradient_flow_runs):
        for run in runs(loaded):
            run_spec(loaded, *run).to_json()
    for architecture in ARCHITECTURES:
        gradient_flow_spec(loaded, recipe_spec(loaded, architecture)).to_json()
