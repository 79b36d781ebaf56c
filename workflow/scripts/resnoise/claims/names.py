"""Names of verdicts, scales and kinds of claims, as the files have them, and of sections."""

import re
from collections.abc import Iterable, Mapping, Sequence

REPRODUCED = "reproduced"
DIRECTION = "direction only"
FAILED = "not reproduced"
NOT_COMPARABLE = "not comparable at this scale"
NOT_MEASURED = "not measured at this scale"
VERDICTS = (REPRODUCED, DIRECTION, FAILED, NOT_COMPARABLE, NOT_MEASURED)

# All that a quantity depends on is as in the paper; something differs; nothing could differ.
PAPER_SCALE = "paper"
REDUCED_SCALE = "reduced"
INDEPENDENT = "any"

# A claim is a statement if it has a direction (greater or less than something), with or without a
# printed number beside it. It is a number if the printed number is all that it says.
STATEMENT = "statement"
NUMBER = "number"

# Sections whose differences are named after them, because others have the same keys.
_SECTIONS = {
    "data": "Data",
    "networks": "Networks",
    "training.simplified": "Training of simplified networks",
    "training.fully_fledged": "Training of fully-fledged networks",
}


def is_qualified(verdict: str, scale: str) -> bool:
    """Return whether a verdict must be shown with the words "at reduced scale".

    Two verdicts speak of the scale themselves.
    """
    return scale == REDUCED_SCALE and verdict not in (NOT_COMPARABLE, NOT_MEASURED)


def label(verdict: str, scale: str) -> str:
    """Return a verdict with its scale, because nothing is just reproduced at a reduced scale."""
    return f"{verdict}, at reduced scale" if is_qualified(verdict, scale) else verdict


def fewer_runs(there: int, wanted: int) -> str:
    """Return that a claim rests on fewer runs than the paper's, the last of its differences."""
    return f"{there} runs instead of {wanted}"


_FEWER_RUNS = re.compile(r"\d+ runs instead of \d+$")


def by_section(found: Mapping[str, Sequence[str]], of_claims: Iterable[str]) -> list[str]:
    """Return a line of text for each section of the configuration that differs from the paper's.

    A last one says so if there are fewer runs than the paper's behind a claim that depends on that.

    Args:
        found: what ``resnoise.claims.scale.differences`` returned.
        of_claims: the differences that concern each claim, joined or one by one.
    """
    sections: dict[str, list[str]] = {}
    for part, texts in found.items():
        # A part such as training.simplified.batch_size is shown with the others of its section.
        section = next((name for name in _SECTIONS if part.startswith(f"{name}.")), part)
        sections.setdefault(_SECTIONS.get(section, ""), []).extend(texts)
    joined = {name: ", ".join(texts) for name, texts in sections.items() if texts}
    lines = [f"{name}: {text}" if name else text for name, text in joined.items()]
    runs = dict.fromkeys(run[0] for text in of_claims if (run := _FEWER_RUNS.search(text)))
    return [*lines, f"Runs: {', '.join(runs)}"] if runs else lines
