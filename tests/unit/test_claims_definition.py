"""Claims are read, checked, and their families written out; mistakes are named."""

from pathlib import Path

import pytest
import yaml

from resnoise.claims import definition, files, scale
from resnoise.claims.definition import SCALE, Operation, Selection, matches
from resnoise.claims.names import NUMBER, STATEMENT
from resnoise.claims.settings import claim_settings
from resnoise.config import load as configuration
from resnoise.errors import ResnoiseError
from resnoise.plan import grid

PAPER = Path(__file__).resolve().parents[2] / "config" / "paper.yaml"
SETTINGS = claim_settings(configuration.load({}))

SMALL = """
table1: {20: {plain: {risk: 0.07}}}
sources:
  trained: {about: runs of Table 1, runs: table1, file: evaluation.csv, where: {snapshot: final}}
  curve: {about: a curve, file: figure13.csv}
claims:
  - id: risk-{network}-{depth}
    for: {network: [plain], depth: [20]}
    place: Table 1
    statement: "Risk of {network} networks of depth {depth}."
    quantity: {source: trained, column: risk, where: {architecture: "{network}", depth: "{depth}"}}
    published: table1.{depth}.{network}.risk
    rule: {within: 0.1, less: 2}
    scale: [data]
"""


def write(folder: Path, text: str = SMALL, **changes: object) -> Path:
    """Write the small file with changes of its only claim; a value None removes a key."""
    content = yaml.safe_load(text)
    for key, value in changes.items():
        content["claims"][0][key.rstrip("_")] = value
        if value is None:
            del content["claims"][0][key.rstrip("_")]
    file = folder / "paper.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    return file


def test_a_family_is_written_out_and_refers_to_the_numbers_of_the_tables(tmp_path: Path) -> None:
    (claim,) = definition.read(write(tmp_path), SETTINGS)
    assert claim.id == "risk-plain-20"
    assert claim.statement == "Risk of plain networks of depth 20."
    assert claim.published == 0.07
    assert isinstance(claim.quantity, Selection)
    # A text that is a variable takes its type: the depth is a number.
    assert claim.quantity.where == {"snapshot": "final", "architecture": "plain", "depth": 20}
    assert claim.rule.within == 0.1 and claim.rule.less == 2.0 and claim.rule.greater is None


def test_every_combination_of_variables_is_a_claim(tmp_path: Path) -> None:
    file = write(tmp_path, published=0.5, for_={"network": ["a", "b"], "depth": [1, 2, 3]})
    assert [claim.id for claim in definition.read(file, SETTINGS)] == [
        f"risk-{network}-{depth}" for network in "ab" for depth in (1, 2, 3)
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "Risk"}, "claim Risk.id: 'Risk' does not match"),
        ({"id": "risk-{seed}"}, "{seed} in 'risk-{seed}' is none of the variables"),
        ({"published": "table1.20.plain.cost"}, "there is no table1.20.plain.cost in the file"),
        ({"published": "table1.20.plain"}, "published: table1.20.plain is no number"),
        ({"published": None}, "a published number and within or within_absolute go together"),
        ({"rule": {"less": 1}}, "a published number and within or within_absolute go together"),
        ({"rule": {}}, "rule: {} should be non-empty"),
        ({"rule": {"within": 0}}, "rule.within: 0 is less than or equal to the minimum of 0"),
        ({"rule": {"near": 1}}, "rule: Additional properties are not allowed ('near'"),
        ({"rule": {"within": 1, "within_absolute": 1}}, "rule: "),
        ({"scale": ["dataset"]}, "scale dataset: allowed are data, data.classes, networks"),
        (
            {"quantity": {"source": "runs", "column": "risk"}},
            "source runs: allowed are trained, curve",
        ),
        ({"quantity": {"source": "trained"}}, "quantity: "),
        ({"quantity": {"ratio": [1]}}, "quantity"),
        ({"quantity": {"exec": "rm"}}, "quantity"),
        ({"quantity": {"ratio": [1, 2], "difference": [1, 2]}}, "quantity"),
        ({"quantity": "risk / cost"}, "quantity"),
        ({"verdict": "reproduced"}, "('verdict' was unexpected)"),
        ({"place": None}, "'place' is a required property"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ResnoiseError) as caught:
        definition.read(write(tmp_path, **changes), SETTINGS)
    assert str(caught.value).startswith("paper.yaml: ")
    assert message in str(caught.value)


def test_two_claims_of_one_id_are_refused(tmp_path: Path) -> None:
    content = yaml.safe_load(SMALL)
    content["claims"] *= 2
    (tmp_path / "paper.yaml").write_text(yaml.safe_dump(content), "utf-8")
    with pytest.raises(ResnoiseError, match="claim risk-plain-20: there are two of this id"):
        definition.read(tmp_path / "paper.yaml", SETTINGS)


def test_words_for_values_replace_the_variable_with_words(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        for_={"network": {"plain": "plain (KWI)"}, "depth": [20]},
        statement="Risk of {network_words} networks of depth {depth}.",
    )
    (claim,) = definition.read(file, {})
    assert claim.id == "risk-plain-20"
    assert claim.statement == "Risk of plain (KWI) networks of depth 20."


def test_no_statement_names_a_column_or_a_snapshot() -> None:
    for claim in definition.read(PAPER, SETTINGS):
        for word in ("test_error", "iteration1", "f_mean", "f_first_order", "full-plain"):
            assert word not in claim.statement, claim.id


def test_settings_stand_for_values_of_the_configuration(tmp_path: Path) -> None:
    selection = {"source": "trained", "column": "risk"}
    where = {"depth": {"to": {"setting": "last"}}, "architecture": {"setting": "kinds"}}
    file = write(tmp_path, quantity={**selection, "where": where})
    (claim,) = definition.read(file, {"last": 16, "kinds": ["plain"]})
    assert isinstance(claim.quantity, Selection)
    assert claim.quantity.where == {
        "snapshot": "final",
        "depth": {"to": 16},
        "architecture": ["plain"],
    }
    with pytest.raises(ResnoiseError, match="claim risk-plain-20: setting last: allowed are first"):
        definition.read(file, {"first": 1})


def test_the_settings_follow_the_configuration() -> None:
    changed = {"reading": "set", "layers": "block-outputs", "depth": 20, "shallow_share": 0.35}
    assert claim_settings(configuration.load({"gradient_flow": changed})) == {
        "flow_reading": "set",
        "flow_places": ["block output"],
        "last_shallow_layer": 7,
        "first_deep_layer": 8,
    }
    every = claim_settings(configuration.load({"gradient_flow": {"layers": "all"}}))
    assert every["flow_places"] == ["block output", "inside block"]
    assert SETTINGS["last_shallow_layer"] == 16


def test_conditions() -> None:
    assert matches(20, 20) and not matches(20, 32)
    assert matches(20, [20, 32]) and not matches(44, [20, 32])
    assert matches(5, {"to": 5}) and not matches(6, {"to": 5})
    assert matches(5, {"from": 5, "to": 9}) and not matches(4, {"from": 5})


def test_the_paper_has_its_claims() -> None:
    claims = definition.read(PAPER, SETTINGS)
    assert len(claims) >= 60
    # Families apart, there are at least the 45 statements of the paper.
    assert len(yaml.safe_load(PAPER.read_text("utf-8"))["claims"]) >= 45
    for claim in claims:
        assert claim.place and claim.statement.endswith((".", ")")) and "{" not in claim.statement
        assert isinstance(claim.quantity, Selection | Operation)
        assert set(claim.scale) <= {*SCALE}


def test_every_number_of_the_tables_is_some_claims(tmp_path: Path) -> None:
    content = yaml.safe_load(PAPER.read_text("utf-8"))
    places = {str(item["published"]) for item in content["claims"] if "published" in item}
    published = {claim.published for claim in definition.read(PAPER, SETTINGS)}

    def numbers(node: object) -> list[float]:
        if isinstance(node, dict):
            return [number for child in node.values() for number in numbers(child)]
        return [float(node)] if isinstance(node, int | float) else []

    tables = {key: value for key, value in content.items() if key not in ("sources", "claims")}
    for name, table in tables.items():
        assert any(place.startswith(name) for place in places), f"no claim refers to {name}"
        if name == "interlayer_cushion":
            table = {key: table[key] for key in ("mean", "standard_deviation")}
        assert {*numbers(table)} <= published, f"{name} has numbers that no claim judges"


def test_the_rules_know_every_set_of_runs_that_a_claim_uses() -> None:
    config = configuration.load({})
    needed = files.needed(
        definition.read(PAPER, SETTINGS), grid.claim_runs(config), grid.CLAIM_TABLES
    )
    paths = [file.path for source in needed.values() for file in source]
    assert "runs/plain-44/kwi/seed3/evaluation.csv" in paths
    assert "twins/depth20/seed1/residual/evaluation.csv" in paths
    assert files.from_json(files.to_json(needed)) == needed


def test_only_files_that_some_claim_uses_are_needed() -> None:
    paths = {}
    for depths in ([20, 44], [14, 20, 26, 44]):
        config = configuration.load({"table1": {"depths": depths}})
        needed = files.needed(definition.read(PAPER, SETTINGS), grid.claim_runs(config), ())
        paths[len(depths)] = [file.path for name in ("trained", "curves") for file in needed[name]]
    # No claim is about networks of depth 14 or 26.
    assert sorted(paths[2]) == sorted(paths[4])
    assert not [path for path in paths[4] if "-14" in path or "-26" in path]


def test_an_unknown_set_of_runs_is_refused(tmp_path: Path) -> None:
    claims = definition.read(write(tmp_path), SETTINGS)
    with pytest.raises(ResnoiseError, match="source trained: there are no runs table1; there are"):
        files.needed(claims, {"twins": []}, ())


def test_what_differs_from_the_paper() -> None:
    paper = configuration.load({})
    assert set(scale.differences(paper, paper)) == {*SCALE}
    assert not any(scale.differences(paper, paper).values())
    short = configuration.load(
        {
            "data": {"source": "digits", "train_per_class": 20},
            "training": {"simplified": {"epochs": 3, "batch_size": 8, "conv_backend": "torch"}},
            "networks": {"width": 4},
            "twins": {"precision": "float32", "seeds": [2]},
            "weight_statistics": {"threshold": 0.5},
        }
    )
    found = scale.differences(short, paper)
    assert {part: texts for part, texts in found.items() if texts} == {
        "data": [
            "scikit-learn's digits instead of CIFAR-10",
            "20 training pictures of each class",
        ],
        "networks": ["width 4 instead of 16"],
        "training.simplified": ["epochs 3 instead of 200"],
        "training.simplified.batch_size": ["batch size 8 instead of 128"],
        "twins": ["twins: precision float32 instead of float64"],
        "weight_statistics": ["weight statistics: threshold 0.5 instead of 0.25"],
    }


def test_a_part_includes_those_below_it() -> None:
    found = {"training.simplified": ["a"], "training.simplified.batch_size": ["b"], "data": ["c"]}
    assert scale.within("training.simplified", found) == ["a", "b"]
    assert scale.within("training.simplified.batch_size", found) == ["b"]
    assert scale.within("training", found) == ["a", "b"]
    assert scale.within("networks", found) == []


def test_what_is_measured_before_training_does_not_depend_on_its_length() -> None:
    config = configuration.load(
        {"training": {"simplified": {"epochs": 3}, "fully_fledged": {"epochs": 3}}}
    )
    found = scale.differences(config, configuration.load({}))
    numbers = {
        claim.id
        for claim in definition.read(PAPER, SETTINGS)
        if claim.kind == NUMBER and claim.scale
        if not any(scale.within(part, found) for part in claim.scale)
    }
    assert numbers == {
        "identity-mass-before",
        *(f"table4-{depth}-plain-weight-term-before" for depth in (20, 32, 44)),
        *(f"table4-{d}-{n}-risk-before" for d in (20, 32, 44) for n in ("plain", "residual")),
    }


def test_a_claim_with_a_direction_is_a_statement() -> None:
    kinds = {claim.id: claim.kind for claim in definition.read(PAPER, SETTINGS)}
    assert kinds["table1-20-plain-risk"] == kinds["table4-32-plain-risk-before"] == NUMBER
    # With a printed number beside the direction, and without.
    assert kinds["plain-risk-growth"] == kinds["degradation-is-smaller"] == STATEMENT


def test_the_example_in_the_documentation_is_a_claim(tmp_path: Path) -> None:
    text = (PAPER.parent / "README.md").read_text("utf-8").partition("## Adding a claim")[2]
    lines = [line[4:] for line in text.splitlines() if line.startswith("    ")]
    content = yaml.safe_load(PAPER.read_text("utf-8"))
    content["claims"] += yaml.safe_load("\n".join(lines))
    (tmp_path / "paper.yaml").write_text(yaml.safe_dump(content), "utf-8")
    found = definition.read(tmp_path / "paper.yaml", SETTINGS)
    assert [claim.id for claim in found[-3:]] == [
        f"residual-has-smaller-train-error-{depth}" for depth in (20, 32, 44)
    ]
