"""Digests of the code behind each result, so that an edit makes only the affected results stale.

The digest of a script covers the script and every module of this project that it imports, directly
or through other modules. Comments, docstrings and formatting are left out, so that only an edit
that can change a result changes the digest. Standard library only, because the rules import this
module too.
"""

import ast
import functools
import gc
import hashlib
import importlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from resnoise.errors import ResnoiseError

SCRIPTS = Path(__file__).resolve().parent.parent
ENVIRONMENTS = SCRIPTS.parent.parent / "envs"

# Modules that cannot change a number in a result. Editing them makes nothing stale.
EXEMPT = {
    "resnoise",  # offers names of resnoise.api to notebooks
    "resnoise.api",  # for notebooks; no script uses it
    "resnoise.api_inputs",
    "resnoise.commandline",  # logging and error messages
    "resnoise.data.progress",
    "resnoise.environment",  # facts about the host, for the record only
    "resnoise.errors",
    "resnoise.parameters",  # names initialisations
    "resnoise.networks.summary",  # what train.py --describe prints
    "resnoise.provenance",
    "resnoise.storage.store",  # what it finds is what the same code made before
    "resnoise.storage.identity",  # refuses files
    "resnoise.registry",  # names modules; a run's own modules are passed to code_digest
    "resnoise.training.log_lines",
    "resnoise.training.progress",
}

# Packages without which PyTorch does what the modules that import them would do.
_OPTIONAL = {"triton"}


def code_digest(script: str, environment: str, *plugins: str) -> str:
    """Return one SHA-256 over a script, all modules behind it and its environment, for records.

    Args:
        script: file name of an entry script, such as "train.py".
        environment: file name of its environment in the folder ``envs``, such as "torch.yaml".
        plugins: modules that the script imports at run time by name, such as
            "resnoise.networks.simplified", and facts of the registry, such as
            "network:residual:build", which have colons.
    """
    return hashlib.sha256("\n".join(entries(script, environment, *plugins)).encode()).hexdigest()


def entries(script: str, environment: str, *plugins: str) -> list[str]:
    """Return the names with digests of a script, of all modules behind it and of its environment.

    The arguments are those of ``code_digest``; facts stand at the end as they are.
    """
    names = [script, *sorted(closure(script, *plugins))]
    return [*map(digest, names), text_digest(ENVIRONMENTS / environment), *facts(plugins)]


def facts(plugins: Iterable[str]) -> list[str]:
    """Return those of the plugins that are facts of the registry and no modules, in order, once."""
    return sorted({name for name in plugins if ":" in name})


def promise(script: str, environment: str, *plugins: str) -> str:
    """Return the option ``--code`` of a job: its ``code_digest`` and what that covers.

    The workflow records the code that it found when it started; jobs import the code that is there
    when they start. The option lets a job compare the two.
    """
    return " ".join([code_digest(script, environment, *plugins), script, environment, *plugins])


def everything() -> dict[str, str]:
    """Return the name and the digest of all code: scripts, modules, environments, schemas."""
    files = [*SCRIPTS.glob("*.py"), *SCRIPTS.glob("resnoise/**/*.py")]
    names = {
        file.relative_to(SCRIPTS).with_suffix("").as_posix().replace("/", ".") for file in files
    }
    scripts = {name for name in names if not name.startswith("resnoise")}
    modules = {name.removesuffix(".__init__") for name in names - scripts}
    digests = [digest(name) for name in [*(f"{name}.py" for name in scripts), *modules]]
    digests += map(text_digest, ENVIRONMENTS.glob("*.yaml"))
    digests += map(text_digest, ENVIRONMENTS.with_name("config").glob("*schema.yaml"))
    return dict(entry.split(" ") for entry in digests)


def changed_since(start: dict[str, str], script: str, environment: str, *plugins: str) -> list[str]:
    """Return what has changed of the code of a job, sorted by name.

    Args:
        start: what ``everything`` returned when the workflow was started.
        script: as for ``code_digest``, like the others.
        environment: file name of its environment.
        plugins: modules that it imports by name.
    """
    now = (entry for entry in entries(script, environment, *plugins) if ":" not in entry)
    return sorted(name for name, value in map(str.split, now) if start.get(name) != value)


def check(promised: str, load: bool) -> None:
    """Compare the code that is there now with that of an option ``--code``.

    Args:
        promised: what ``promise`` returned.
        load: first import all modules that it covers, so that later edits have no effect.

    Raises:
        ResnoiseError: it is other code, or cannot be read.
    """
    expected, script, environment, *plugins = promised.split(" ")
    try:
        if load:
            _load(closure(script, *plugins))
        for cached in (digest, closure, _read, is_project_module, _files):
            cached.cache_clear()
        found = code_digest(script, environment, *plugins)
    except (OSError, SyntaxError, ImportError) as error:
        raise ResnoiseError(f"{script}: its code cannot be read ({error})") from error
    if found != expected:
        raise ResnoiseError(
            f"the code of {script}, of a module that it imports, or of envs/{environment} was "
            "changed after the workflow had started; start the workflow again"
        )


def _load(names: Iterable[str]) -> None:
    """Import modules, without looking for garbage: a tenth of the time that PyTorch takes.

    Those that need an optional package that is not there are left out: nothing will use them.
    """
    gc.disable()
    try:
        for name in sorted(names):
            try:
                importlib.import_module(name)
            except ModuleNotFoundError as error:
                if error.name not in _OPTIONAL:
                    raise
    finally:
        gc.enable()


@functools.cache
def digest(name: str) -> str:
    """Return a script's or module's name and digest, as in "resnoise.seeds 0123456789abcdef".

    The digest of a package also covers the data files in its folder, such as C sources.
    """
    state = hashlib.sha256()
    for file in _files(name):
        text = _read(file)[0].encode() if file.suffix == ".py" else file.read_bytes()
        state.update(hashlib.sha256(text).digest())
    return _named(name, state)


def _named(name: str, state: "hashlib._Hash") -> str:
    # 16 digits are easy to read, and two versions share them with a chance of 1 in 10^19 only.
    return f"{name} {state.hexdigest()[:16]}"


@functools.cache
def closure(script: str, *plugins: str) -> frozenset[str]:
    """Return all modules of this project that a script imports, directly or not, but for EXEMPT."""
    found: set[str] = set()
    waiting = [*_read(SCRIPTS / script)[1]]
    modules = (plugin for plugin in plugins if ":" not in plugin)
    waiting.extend(name for module in modules for name in _with_parents(module))
    while waiting:
        name = waiting.pop()
        if name in found or name in EXEMPT:
            continue
        found.add(name)
        waiting.extend(_read(_files(name)[0])[1])
    return frozenset(found)


def text_digest(file: Path) -> str:
    """Return name and digest of a text file (such as an environment), ignoring comments and blanks.

    Comments begin with " #" or stand on lines of their own.
    """
    lines = (line.split(" #")[0].rstrip() for line in file.read_text("utf-8").splitlines())
    kept = [line for line in lines if line and not line.lstrip().startswith("#")]
    return _named(file.name, hashlib.sha256("\n".join(kept).encode()))


@functools.cache
def _read(file: Path) -> tuple[str, tuple[str, ...]]:
    """Return a Python file's code in canonical form, and the modules of this project it imports.

    Imports anywhere in the file count, also inside functions, and so do the packages around an
    imported module. One pass finds both, because this runs whenever Snakemake starts.
    """
    written: list[str] = []
    imports: list[ast.Import | ast.ImportFrom] = []
    _write(ast.parse(file.read_text("utf-8"), str(file)), written, imports)
    names: list[str] = []
    for node in imports:
        if isinstance(node, ast.Import):
            names.extend(alias.name for alias in node.names)
        elif node.level:
            raise ValueError(f"{file}:{node.lineno}: relative import, which no digest follows")
        else:
            assert node.module is not None
            names.append(node.module)
            names.extend(f"{node.module}.{alias.name}" for alias in node.names)
    modules = (module for name in names for module in _with_parents(name))
    return "".join(written), tuple(name for name in modules if is_project_module(name))


def _write(node: Any, written: list[str], imports: list[ast.Import | ast.ImportFrom]) -> None:
    """Append a syntax tree's canonical text to ``written`` and its imports to ``imports``.

    The text leaves out comments, docstrings and formatting. It is the same in all versions of
    Python (unlike that of ``ast.unparse``): later versions add fields to nodes, and these are
    empty, and so left out, unless the source uses them.
    """
    kind: Any = type(node)
    if kind is list:
        written.append("[")
        for item in node:
            _write(item, written, imports)
        written.append("]")
        return
    fields = _fields(kind)
    if fields is None:
        # Not repr, which escapes different characters in different versions of Python.
        written.append(ascii(node))
        return
    if kind in _IMPORTS:
        imports.append(node)
    elif kind in _HAVE_DOCSTRINGS and ast.get_docstring(node, clean=False) is not None:
        node.body = node.body[1:] or [ast.Pass()]
    written.append(kind.__name__)
    for field in fields:
        value = getattr(node, field, None)
        if value or kind is ast.Constant:
            written.append(field)
            _write(value, written, imports)
    written.append(")")


_IMPORTS = {ast.Import, ast.ImportFrom}
_HAVE_DOCSTRINGS = {ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef}


@functools.cache
def _fields(kind: Any) -> tuple[str, ...] | None:
    """Return the fields of a node class that affect what the code does, None for other classes."""
    if not issubclass(kind, ast.AST):
        return None
    return tuple(sorted({*kind._fields} - {"ctx", "kind", "type_comment"}))


def _with_parents(name: str) -> Iterator[str]:
    """Yield a module and its packages ("a", "a.b" and "a.b.c"), all of which its import runs."""
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        yield ".".join(parts[:count])


@functools.cache
def is_project_module(name: str) -> bool:
    """Return whether a module or package of this name is among the scripts."""
    path = SCRIPTS.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


@functools.cache
def _files(name: str) -> tuple[Path, ...]:
    """Return the source file of a script or module and, for a package, the data files beside it."""
    if name.endswith(".py"):
        return (SCRIPTS / name,)
    path = SCRIPTS.joinpath(*name.split("."))
    if not path.is_dir():
        return (path.with_suffix(".py"),)
    files = (file for file in path.iterdir() if file.is_file() and file.name[0] != ".")
    data = (file for file in files if file.suffix not in (".py", ".pyc"))
    return (path / "__init__.py", *sorted(data))
