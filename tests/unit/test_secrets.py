"""Credentials in addresses are hidden where a text leaves the machine."""

import json
import shlex
from pathlib import Path

import pytest

from resnoise.comparison.configurations import differences
from resnoise.config import load as configuration
from resnoise.errors import ResnoiseError
from resnoise.secrets import masked

HIDDEN = {
    "https://user:secret@host.org/file": "https://***@host.org/file",
    "https://secret@host:8080/": "https://***@host:8080/",
    "https://u:p@secret'\"\\@host/x": "https://***@host/x",
    "http://host/file?token=secret&more=secret#part": "http://host/file?***",
    "two: http://a:secret@b/c, and s3+http://d:secret@e": "two: http://***@b/c, and s3+http://***@e",
}
OPEN = ["torchvision", "https://host/a@b", "file:///data/me@home", "a@b.org", "what? https://host/"]


@pytest.mark.parametrize("text", HIDDEN)
def test_credentials_are_hidden_and_the_rest_stays(text: str) -> None:
    assert masked(text) == HIDDEN[text]
    assert masked(masked(text)) == masked(text)


@pytest.mark.parametrize("text", OPEN)
def test_what_holds_none_stays(text: str) -> None:
    assert masked(text) == text


def test_a_list_stays_one() -> None:
    addresses = ["https://u:secret@one/x?key=secret", "torchvision", "https://v:secret@two/y"]
    expected = ["https://***@one/x?***", "torchvision", "https://***@two/y"]
    assert json.loads(masked(json.dumps(addresses))) == expected
    (word,) = shlex.split(masked(shlex.join([json.dumps(addresses)])))
    assert json.loads(word) == expected


def test_saved_and_compared_configurations_and_messages_hold_none(tmp_path: Path) -> None:
    mirrors = ["https://user:secret@host/x"]
    config = configuration.load({"results": str(tmp_path / "r"), "data": {"mirrors": mirrors}})
    configuration.save(config)
    text = (tmp_path / "r" / configuration.SAVED).read_text("utf-8")
    assert "secret" not in text and "- https://***@host/x" in text
    assert config["data"]["mirrors"] == mirrors
    compared = differences(config, configuration.load({}))
    assert "secret" not in compared.to_csv()
    with pytest.raises(ResnoiseError) as refused:
        configuration.load({"data": {"mirrors": ["ftp://user:secret@host/x"]}})
    assert "secret" not in str(refused.value) and "ftp://***@host/x" in str(refused.value)
