"""Progress of long loops."""

import sys

import pytest

from resnoise.data import progress


@pytest.mark.parametrize("terminal", [False, True])
def test_items_pass_unchanged(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    assert list(progress.counted(iter("abc"), "decoded")) == ["a", "b", "c"]


def test_log_has_a_line_each_so_many(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(progress, "_LOG_EVERY", 4)
    caplog.set_level("INFO")
    list(progress.counted(range(9), "decoded"))
    assert caplog.messages == ["4 pictures decoded", "8 pictures decoded"]
