"""How scripts end: one line for what a user can mend, a traceback for mistakes of the program."""

import errno
import os

import pytest

from resnoise import commandline
from resnoise.errors import ResnoiseError

REFUSED = {
    "full disk": OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "results/a.csv"),
    "permissions": PermissionError(errno.EACCES, os.strerror(errno.EACCES), "results/a.csv"),
    "read-only": OSError(errno.EROFS, os.strerror(errno.EROFS), "results/a.csv"),
    "bad input": ResnoiseError("results/a.csv: damaged"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_a_user_can_mend_is_one_line(kind: str) -> None:
    def main() -> None:
        raise REFUSED[kind]

    with pytest.raises(SystemExit) as ended:
        commandline.run(main)
    text = str(ended.value.code)
    assert text.startswith("error: ") and "results/a.csv" in text and "\n" not in text


@pytest.mark.parametrize("error", [KeyError("a"), FileNotFoundError(errno.ENOENT, "none", "a")])
def test_a_mistake_of_the_program_keeps_its_traceback(error: Exception) -> None:
    def main() -> None:
        raise error

    with pytest.raises(type(error)):
        commandline.run(main)
