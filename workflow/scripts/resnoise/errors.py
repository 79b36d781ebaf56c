"""The exceptions that are shown to users without a traceback."""

import re

_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x1f\x7f-\x9f]+")
_LONGEST = 200


def quoted(error: object) -> str:
    """Return the first line of an error of another library, to be quoted in a message of ours.

    It is at most 200 characters long and has no colours and other control characters. Without a
    text it is the type of the error.
    """
    lines = [_CONTROL.sub(" ", line).strip() for line in str(error).splitlines()]
    text = next(filter(None, lines), type(error).__name__)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


class ResnoiseError(Exception):
    """Bad input: the message names the file or key, its value and what is allowed."""


class NativeUnavailable(ResnoiseError):  # noqa: N818 - a state that callers expect, not a mistake
    """The project's own code cannot compute a network here; the message says why."""
