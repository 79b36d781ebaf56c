"""Digests of the program: which code a result depends on, so that an edit makes just it stale.

The digest of a script covers the script and every module of this project that it imports, directly
or not, with comments, docstrings and formatting left out: only an edit that can change a result
changes the digest. Standard library only, because the rules import this module too.
"""

import ast
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent.parent

# Modules that cannot change a number: edits of these make nothing stale.
EXEMPT = {
    "resnoise.commandline",  # logging and error messages
    "resnoise.data.progress",
    "resnoise.environment",  # facts about the host, for the record only
    "resnoise.errors",
    "resnoise.networks.summary",  # what train.py --describe prints
    "resnoise.provenance",
    "resnoise.registry",  # names modules; a run's own modules are passed to code_digest
    "resnoise.training.log_lines",
    "resnoise.training.progress",
}


@functools.cache
def code_digest(script: str, *plugins: str) -> str:
    """Return the SHA-256 of the code behind a script.

    Args:
        script: file name of an entry script, such as "train.py".
        plugins: modules that the script loads by name, such as "resnoise.networks.simplified".
    """
    state = hashlib.sha256(_read(SCRIPTS / script)[0].encode())
    for name in sorted(closure(script, *plugins)):
        state.update(f"\n{name}\n".encode())
        for file in _files(name):
            text = _read(file)[0].encode() if file.suffix == ".py" else file.read_bytes()
            state.update(hashlib.sha256(text).digest())
    return state.hexdigest()


@functools.cache
def closure(script: str, *plugins: str) -> frozenset[str]:
    """Return the modules of this project that a script imports, without the exempt ones."""
    found: set[str] = set()
    waiting = [*_read(SCRIPTS / script)[1]]
    waiting.extend(name for plugin in plugins for name in _with_parents(plugin))
    while waiting:
        name = waiting.pop()
        if name in found or name in EXEMPT:
            continue
        found.add(name)
        waiting.extend(_read(_files(name)[0])[1])
    return frozenset(found)


def text_digest(file: Path) -> str:
    """Return the SHA-256 of a text file (an environment, say) without its comments and blanks."""
    lines = (line.split(" #")[0].rstrip() for line in file.read_text("utf-8").splitlines())
    kept = [line for line in lines if line and not line.lstrip().startswith("#")]
    return hashlib.sha256("\n".join(kept).encode()).hexdigest()


@functools.cache
def _read(file: Path) -> tuple[str, tuple[str, ...]]:
    """Return what a Python file does, as normalised source, and the project's modules it imports.

    The source is without comments, docstrings and formatting; imports anywhere in the file count,
    with packages on the way. Both from one look at the file: this runs whenever Snakemake starts.
    """
    tree = ast.parse(file.read_text("utf-8"), str(file))
    names: list[str] = []
    for node in ast.walk(tree):
        kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        if isinstance(node, kinds) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        elif isinstance(node, ast.Import):
            names.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"{file}:{node.lineno}: relative import, which no digest follows")
            assert node.module is not None
            names.append(node.module)
            names.extend(f"{node.module}.{alias.name}" for alias in node.names)
    modules = (module for name in names for module in _with_parents(name))
    return ast.unparse(tree), tuple(name for name in modules if _is_project_module(name))


def _with_parents(name: str) -> Iterator[str]:
    """Yield "a", "a.b" and "a.b.c" of "a.b.c": importing a module runs its packages."""
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        yield ".".join(parts[:count])


def _is_project_module(name: str) -> bool:
    path = SCRIPTS.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def _files(name: str) -> list[Path]:
    """Return the source of a module and, for a package, its data files, such as C sources."""
    path = SCRIPTS.joinpath(*name.split("."))
    if not path.is_dir():
        return [path.with_suffix(".py")]
    files = (file for file in path.iterdir() if file.is_file() and file.name[0] != ".")
    data = (file for file in files if file.suffix not in (".py", ".pyc"))
    return [path / "__init__.py", *sorted(data)]
