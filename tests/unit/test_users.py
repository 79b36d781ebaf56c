"""Users without a name: a number that the system does not know, as in containers."""

import getpass
import os
import pwd

import pytest

from resnoise import users

NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")


@pytest.fixture(autouse=True)
def _no_names(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        # First set, so that it is removed at the end even if the test sets it.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_a_user_whom_the_system_does_not_know_gets_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(number: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises((KeyError, OSError)):
        getpass.getuser()
    users.ensure_name()
    assert getpass.getuser() == str(os.getuid())


def test_a_name_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    users.ensure_name()
    assert not {*NAMES} & {*os.environ}
    monkeypatch.setenv("LOGNAME", "ada")
    users.ensure_name()
    assert getpass.getuser() == "ada" and "USER" not in os.environ
