"""The documentation as tests read it: pages, headings, messages and commands."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "config" / "README.md"]
PAGES += sorted((ROOT / "docs").glob("*.md"))

_FENCE = re.compile(r"^ *```([^\n]*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
# Where a value stands in a message, written as in Python's f-strings and in logging.
_VALUE = re.compile(r"%\w|%\.\d\w")


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Yield language (what stands behind the fence) and text of each block of code."""
    yield from _FENCE.findall(page.read_text("utf-8"))


def anchors(page: Path) -> set[str]:
    """Return what links to the page's headings have behind the #."""
    text = _FENCE.sub("", page.read_text("utf-8"))
    found = set()
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        words = re.sub(r"[^\w\- ]", "", heading.lower())
        found.add(words.strip().replace(" ", "-"))
    return found


def commands(page: Path, start: str = "snakemake ") -> list[list[str]]:
    """Return the words behind ``start`` of all commands in blocks of code and in the text."""
    text = page.read_text("utf-8")
    # Blocks are fenced, or indented by four spaces.
    parts = [code for language, code in blocks(page) if language == "sh"]
    parts += re.findall(rf"^    ({start}.*)$", _FENCE.sub("", text), re.MULTILINE)
    inline = re.findall(rf"`({start}[^`]+)`", _FENCE.sub("", text))
    parts += [" ".join(part.split()) for part in inline]
    found = []
    for part in parts:
        for line in part.replace("\\\n", " ").splitlines():
            for command in line.split("&&"):
                if command.strip().startswith(start):
                    found.append(shlex.split(command.strip().removeprefix(start), comments=True))
    return found


def templates(package: Path) -> str:
    """Return all texts in a package's code, a line each, with NUL where a value is put in."""
    found = set()
    for file in package.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                pieces = [
                    part.value if isinstance(part, ast.Constant) else "\0" for part in node.values
                ]
                found.add("".join(str(piece) for piece in pieces))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(_VALUE.sub("\0", node.value))
    return "\n".join(text.replace("\n", " ") for text in found)


def occurs(message: str, texts: str) -> bool:
    """Whether a message, with ... where it varies, is in one of the ``templates``."""
    parts = [re.escape(part.replace("\n", " ")) for part in message.split("...")]
    return re.search(".*".join(part for part in parts if part), texts) is not None
