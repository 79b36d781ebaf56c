"""Read the claims of config/paper.yaml: checked, families written out, references resolved.

The rules import this module too, so it must stay quick: no numpy, no pandas.
"""

import dataclasses
import functools
import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema

from resnoise.claims.names import NUMBER, STATEMENT
from resnoise.errors import ResnoiseError
from resnoise.storage import yamldata

SCHEMA = Path(__file__).resolve().parents[4] / "config" / "paper_schema.yaml"

# What a run is known by; conditions on these decide which files a claim needs.
RUN_KEYS = ("architecture", "depth", "initialisation", "seed")
# Parts of the configuration that a claim may depend on, each with the words for it. A part includes
# those below it (``resnoise.claims.scale.within``).
SCALE = {
    "data": "the pictures",
    "data.classes": "the number of classes",
    "networks": "the width of the networks",
    **{
        f"training.{family}{key}": words
        for family in ("simplified", "fully_fledged")
        for key, words in (
            ("", "the training"),
            (".batch_size", "the batch size"),
            (".penalty", "the weight penalty"),
            (".penalty_divided_by_batch", "the weight penalty"),
        )
    },
    "twins": "the precision of twins",
    "layer_cushion": "the number of pictures of layer cushions",
    "weight_statistics": "the thresholds of weight statistics",
}
_VARIABLE = re.compile(r"\{(\w+)\}")


@dataclasses.dataclass(frozen=True)
class Source:
    """A kind of result file.

    Attributes:
        name: what claims call it.
        file: name of the file, in the folder of each run or in the results folder.
        runs: which runs have it (see ``resnoise.plan.grid.claim_runs``); None for a single file.
        where: conditions that all selections from it have in common.
        about: what it is, for people.
    """

    name: str
    file: str
    runs: str | None
    where: Mapping[str, Any]
    about: str


@dataclasses.dataclass(frozen=True)
class Selection:
    """Numbers from a source: one for each run, or one for each run and value of ``by``.

    Attributes:
        source: where the rows come from.
        column: the column whose values count.
        where: column -> value, list of allowed values, or {from, to}; the source's included.
        by: column that numbers the entries of a series (epoch, say); None for a single number.
        reduce: how several rows become one number; "only" needs exactly one row.
        runs: columns with numbers of runs behind a row of a file without runs; the smallest counts.
        interval: columns with the ends of an interval that the file holds itself, or None.
    """

    source: Source
    column: str
    where: Mapping[str, Any]
    by: str | None
    reduce: str
    runs: tuple[str, ...]
    interval: tuple[str, str] | None

    def takes(self, run: Mapping[str, Any]) -> bool:
        """Whether rows of a run can fulfil the conditions, from what the run is known by."""
        return all(matches(run[key], self.where[key]) for key in RUN_KEYS if key in self.where)


@dataclasses.dataclass(frozen=True)
class Operation:
    """What is computed from other quantities; see ``resnoise.claims.quantities``.

    Attributes:
        name: such as "ratio".
        arguments: what it is computed from.
        condition: for counts, what an entry must fulfil: ("greater" or "less", bound).
    """

    name: str
    arguments: tuple["Quantity", ...]
    condition: tuple[str, float] | None = None


Quantity = float | Selection | Operation


@dataclasses.dataclass(frozen=True)
class Rule:
    """How a claim is judged.

    Attributes:
        within: largest relative distance from the published number, or None.
        within_absolute: largest distance from it, or None.
        greater: what the quantity must exceed, or None.
        less: what it must stay below, or None.
        one_run_suffices: whether a direction in a single run counts as reproduced.
    """

    within: float | None
    within_absolute: float | None
    greater: Quantity | None
    less: Quantity | None
    one_run_suffices: bool = False


@dataclasses.dataclass(frozen=True)
class Claim:
    """A statement of the paper.

    Attributes:
        id: its name.
        place: where in the paper it stands.
        statement: what it says.
        quantity: what is measured.
        published: the number that the paper prints; None if it prints none.
        unit: unit of the quantity; empty for none.
        rule: how it is judged.
        scale: parts of the configuration that must be the paper's for a fair comparison; some of
            ``SCALE``.
        runs: number of runs over which the paper takes the mean; None if it does not say.
    """

    id: str
    place: str
    statement: str
    quantity: Quantity
    published: float | None
    unit: str
    rule: Rule
    scale: tuple[str, ...]
    runs: int | None = None

    @property
    def kind(self) -> str:
        """Return ``STATEMENT`` if the claim has a direction, ``NUMBER`` if it has none."""
        directions = (self.rule.greater, self.rule.less)
        return NUMBER if all(bound is None for bound in directions) else STATEMENT


def matches(value: Any, condition: Any) -> bool:
    """Whether a value fulfils a condition: equal, in a list, or between ``from`` and ``to``."""
    if isinstance(condition, Mapping):
        low, high = condition.get("from"), condition.get("to")
        return (low is None or value >= low) and (high is None or value <= high)
    if isinstance(condition, list | tuple):
        return value in condition
    return bool(value == condition)


def selections(quantity: Quantity | None) -> Iterator[Selection]:
    """Yield all selections in a quantity."""
    if isinstance(quantity, Selection):
        yield quantity
    elif isinstance(quantity, Operation):
        for argument in quantity.arguments:
            yield from selections(argument)


def claim_selections(claim: Claim) -> list[Selection]:
    """Return all selections that a claim needs, those of its rule included."""
    parts = (claim.quantity, claim.rule.greater, claim.rule.less)
    return [selection for part in parts for selection in selections(part)]


def sources(claim: Claim) -> set[str]:
    """Return the names of all sources that a claim needs."""
    return {selection.source.name for selection in claim_selections(claim)}


def read(file: Path, settings: Mapping[str, Any]) -> list[Claim]:
    """Return the claims of ``file``, families (``for``) written out, in the file's order.

    Args:
        file: such as config/paper.yaml.
        settings: name -> value of each ``{setting: NAME}`` (``resnoise.claims.settings``).

    Raises:
        ResnoiseError: the file has mistakes; the message names claim, key and what is allowed.
    """
    content = yamldata.read(file)
    try:
        return _claims(content, settings)
    except ResnoiseError as error:
        raise ResnoiseError(f"{file.name}: {error}") from None


@functools.cache
def _validator() -> Any:
    return jsonschema.Draft202012Validator(yamldata.read(SCHEMA))


def _claims(content: Mapping[str, Any], settings: Mapping[str, Any]) -> list[Claim]:
    """Return the claims of the parsed file."""
    error = jsonschema.exceptions.best_match(_validator().iter_errors(content))
    if error is not None:
        raise ResnoiseError(f"{_place(content, error.absolute_path)}: {error.message}")
    sources = {
        key: Source(
            key,
            item["file"],
            item.get("runs"),
            _settled(item.get("where", {}), settings, f"source {key}"),
            " ".join(item["about"].split()),
        )
        for key, item in content["sources"].items()
    }
    found: dict[str, Claim] = {}
    for item in content["claims"]:
        for values in _variables(item.get("for", {})):
            written = _written_out(item, values, item["id"])
            written = _settled(written, settings, f"claim {written['id']}")
            claim = _claim(written, sources, content)
            if claim.id in found:
                raise ResnoiseError(f"claim {claim.id}: there are two of this id")
            found[claim.id] = claim
    return list(found.values())


def _place(content: Mapping[str, Any], path: Any) -> str:
    """Return where a mistake is, for people."""
    parts = list(path)
    if len(parts) > 1 and parts[0] == "claims":
        item = content["claims"][parts[1]]
        name = item.get("id", parts[1]) if isinstance(item, Mapping) else parts[1]
        return f"claim {name}" + "".join(f".{part}" for part in parts[2:])
    return ".".join(map(str, parts)) or "the file"


def _variables(families: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the values of the variables of each member of a family; one empty for none.

    A variable whose values are given with words for each has a second one, ``{name_words}``.
    """
    for values in itertools.product(*families.values()):
        member = dict(zip(families, values, strict=True))
        for name, choices in families.items():
            if isinstance(choices, Mapping):
                member[f"{name}_words"] = choices[member[name]]
        yield member


def _written_out(node: Any, values: Mapping[str, Any], name: str) -> Any:
    """Return ``node`` with {variables} replaced.

    A string that is just "{depth}" becomes the number itself.
    """
    if isinstance(node, Mapping):
        return {
            key: _written_out(child, values, name) for key, child in node.items() if key != "for"
        }
    if isinstance(node, list):
        return [_written_out(child, values, name) for child in node]
    if not isinstance(node, str):
        return node
    unknown = {*_VARIABLE.findall(node)} - {*values}
    if unknown:
        raise ResnoiseError(
            f"claim {name}: {{{unknown.pop()}}} in {node!r} is none of the variables of its for"
        )
    if whole := _VARIABLE.fullmatch(node):
        return values[whole[1]]
    return _VARIABLE.sub(lambda match: f"{values[match[1]]}", node)


def _settled(node: Any, settings: Mapping[str, Any], place: str) -> Any:
    """Return ``node`` with each ``{setting: NAME}`` replaced by the setting's value."""
    if isinstance(node, list):
        return [_settled(child, settings, place) for child in node]
    if not isinstance(node, Mapping):
        return node
    if {*node} == {"setting"}:
        if node["setting"] not in settings:
            raise ResnoiseError(
                f"{place}: setting {node['setting']}: allowed are {', '.join(settings)}"
            )
        return settings[node["setting"]]
    return {key: _settled(child, settings, place) for key, child in node.items()}


def _claim(
    item: Mapping[str, Any], sources: Mapping[str, Source], content: Mapping[str, Any]
) -> Claim:
    """Return one claim without variables."""
    name = item["id"]
    rule = item["rule"]
    published = _published(item.get("published"), content, name)
    judged = Rule(
        within=rule.get("within"),
        within_absolute=rule.get("within_absolute"),
        greater=_quantity(rule["greater"], sources, name) if "greater" in rule else None,
        less=_quantity(rule["less"], sources, name) if "less" in rule else None,
        one_run_suffices=rule.get("one_run_suffices", False),
    )
    if (published is None) != (judged.within is None and judged.within_absolute is None):
        raise ResnoiseError(
            f"claim {name}: a published number and within or within_absolute go together"
        )
    if unknown := [part for part in item["scale"] if part not in SCALE]:
        raise ResnoiseError(f"claim {name}: scale {unknown[0]}: allowed are {', '.join(SCALE)}")
    return Claim(
        id=name,
        place=item["place"],
        statement=" ".join(item["statement"].split()),
        quantity=_quantity(item["quantity"], sources, name),
        published=published,
        unit=item.get("unit", ""),
        rule=judged,
        scale=tuple(item["scale"]),
        runs=item.get("runs"),
    )


def _published(value: Any, content: Mapping[str, Any], name: str) -> float | None:
    """Return a published number, given as such or as the dotted place of it in the file."""
    if value is None or isinstance(value, int | float):
        return value
    node: Any = content
    for part in value.split("."):
        keys = {str(key): key for key in node} if isinstance(node, Mapping) else {}
        if part not in keys:
            raise ResnoiseError(f"claim {name}: published: there is no {value} in the file")
        node = node[keys[part]]
    if not isinstance(node, int | float):
        raise ResnoiseError(f"claim {name}: published: {value} is no number")
    return node


def _quantity(node: Any, sources: Mapping[str, Source], name: str) -> Quantity:
    """Return a quantity; the schema has checked its form."""
    if isinstance(node, int | float):
        return float(node)
    if "source" in node:
        if node["source"] not in sources:
            raise ResnoiseError(
                f"claim {name}: source {node['source']}: allowed are {', '.join(sources)}"
            )
        source = sources[node["source"]]
        interval, runs = node.get("interval"), node.get("runs", [])
        return Selection(
            source=source,
            column=node["column"],
            where={**source.where, **node.get("where", {})},
            by=node.get("by"),
            reduce=node.get("reduce", "only"),
            runs=(runs,) if isinstance(runs, str) else tuple(runs),
            interval=tuple(interval) if interval else None,
        )
    ((operation, argument),) = node.items()
    condition = None
    if operation in ("count", "share"):
        ((relation, bound),) = ((k, v) for k, v in argument.items() if k != "of")
        condition = (relation, float(bound))
        argument = [argument["of"]]
    elif operation == "lower_at_equal":
        argument = [curve[axis] for curve in argument for axis in ("x", "y")]
    elif not isinstance(argument, list):
        argument = [argument]
    arguments = tuple(_quantity(part, sources, name) for part in argument)
    return Operation(operation, arguments, condition)
