"""Count verdicts: statements that hold, statements that do not, and numbers, each apart.

Standard library only, so that whatever shows the counts can import it.
"""

import dataclasses
from collections.abc import Iterable, Mapping

from resnoise.claims.names import (
    DIRECTION,
    FAILED,
    NOT_COMPARABLE,
    NOT_MEASURED,
    NUMBER,
    REDUCED_SCALE,
    REPRODUCED,
    STATEMENT,
    is_qualified,
)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Claims that are counted together.

    Attributes:
        name: what they are called.
        kinds: kinds of claims that belong to it (see ``resnoise.claims.names``).
        verdicts: their verdicts. Each pair of kind and verdict belongs to one outcome.
    """

    name: str
    kinds: tuple[str, ...]
    verdicts: tuple[str, ...]


OUTCOMES = (
    Outcome("statements that hold", (STATEMENT,), (REPRODUCED, DIRECTION)),
    Outcome("statements that do not hold", (STATEMENT,), (FAILED,)),
    Outcome("numbers compared", (NUMBER,), (REPRODUCED, FAILED, NOT_COMPARABLE)),
    Outcome("not measured at this scale", (STATEMENT, NUMBER), (NOT_MEASURED,)),
)


@dataclasses.dataclass(frozen=True)
class Count:
    """How many claims have an outcome.

    Attributes:
        outcome: the outcome.
        claims: number of claims.
        reduced: how many of them have a reduced scale.
        verdicts: verdict -> number of claims; every verdict of the outcome, in its order.
        reduced_verdicts: the same, of those at a reduced scale.
    """

    outcome: Outcome
    claims: int
    reduced: int
    verdicts: Mapping[str, int]
    reduced_verdicts: Mapping[str, int]

    @property
    def qualified(self) -> int:
        """Return how many of the claims must be shown with the words "at reduced scale"."""
        return sum(
            number
            for verdict, number in self.reduced_verdicts.items()
            if is_qualified(verdict, REDUCED_SCALE)
        )

    def parts(self) -> str:
        """Return the numbers behind the count, such as "3 reproduced, 2 direction only".

        Empty where they would say no more than the outcome's name and count.
        """
        found = [f"{number} {verdict}" for verdict, number in self.verdicts.items() if number]
        return ", ".join(found) if len(self.verdicts) > 1 else ""


def count(claims: Iterable[tuple[str, str, str]]) -> list[Count]:
    """Return the counts of all outcomes, in the order of ``OUTCOMES``.

    Args:
        claims: kind, verdict and scale of each claim, as the columns of these names in claims.csv.
    """
    given = [*claims]
    return [_count(outcome, given) for outcome in OUTCOMES]


def _count(outcome: Outcome, claims: list[tuple[str, str, str]]) -> Count:
    """Return the count of one outcome."""
    verdicts = dict.fromkeys(outcome.verdicts, 0)
    reduced = dict.fromkeys(outcome.verdicts, 0)
    for kind, verdict, scale in claims:
        if kind in outcome.kinds and verdict in verdicts:
            verdicts[verdict] += 1
            reduced[verdict] += scale == REDUCED_SCALE
    return Count(outcome, sum(verdicts.values()), sum(reduced.values()), verdicts, reduced)


def lines(counts: Iterable[Count]) -> list[str]:
    """Return a line of text for each outcome, numbers one below the other."""
    found = []
    for one in counts:
        parts = one.parts()
        found.append(f"{one.claims:4d} {one.outcome.name}" + (f" ({parts})" if parts else ""))
    return found


def slug(name: str) -> str:
    """Return the name of an outcome or verdict as a class in HTML."""
    return name.replace(" ", "-")
