"""YAML that people write: what is easily mistaken is refused, with its line."""

import os
import re
from pathlib import Path

import pytest
import yaml

from resnoise.config import load as configuration
from resnoise.config import yamlfile
from resnoise.errors import ResnoiseError

REFUSED = {
    "a: 1\nb: 2\na: 3\n": "line 3: the key 'a' is there twice",
    "s:\n  a: 1\n  'a': 3\n": "line 3: the key 'a' is there twice",
    '{"a": 1, "s": {"b": 1, "b": 2}}': "the key 'b' is there twice",
    "seeds: [1, 010]\n": "line 1: YAML reads 010 as 8; write 8, or put text in quotes",
    "time:\n  1:30\n": "line 2: YAML reads 1:30 as 90; write 90, or put text in quotes",
    "rate: 1:30.5\n": "YAML reads 1:30.5 as 90.5",
    "a: &x\n  b: *x\n": "a section that contains itself",
    "a: &x [1, *x]\n": "a section that contains itself",
    "a: [1\n": "expected ',' or ']'",
    "a: 2020-13-45\n": "month must be in 1..12",
    "- a\n": "no section found, needed: keys and their values",
    "": "no section found, needed: keys and their values",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_easily_mistaken_is_refused_in_one_line(text: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text, "utf-8")
    with pytest.raises(ResnoiseError, match=re.escape(REFUSED[text])) as refused:
        configuration.read([file])
    assert str(refused.value).startswith(f"{file}: ") and "\n" not in str(refused.value)


def test_sections_in_sections_without_end_are_refused() -> None:
    for text in ("[" * 5000, "a: " + "[" * 5000 + "]" * 5000):
        with pytest.raises(yaml.YAMLError, match="too many sections in each other"):
            yamlfile.parse(text)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_text_in_another_encoding_is_refused(encoding: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_bytes("results: Ergebnisse für mich\n".encode(encoding))
    with pytest.raises(ResnoiseError, match=r"mine\.yaml: .* it is not text in UTF-8"):
        yamlfile.read(file, "a configuration")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, found in (("pipe", "a pipe"), (".", "a folder"), ("none", "No such file")):
        with pytest.raises(ResnoiseError, match=found):
            yamlfile.read(tmp_path / name, "a configuration")


def test_everything_else_means_what_yaml_says() -> None:
    text = """
    base: &base {a: 1, b: [1, 0x10, 0, 0.5, 1.0e-3, "010", '1:30', 09, 1_000]}
    derived:
      <<: *base
      a: 2
    again: *base
    when: 2020-01-02
    flag: no
    """
    assert yamlfile.parse(text) == yaml.safe_load(text)
    assert yamlfile.parse('{"a":\t[1, 2]}') == {"a": [1, 2]}
