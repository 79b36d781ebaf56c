"""Python files of the user's that define a network: which files belong to one.

Standard library only, because the rules import this module too. Nothing is executed here.
"""

import ast
import hashlib
import os
from pathlib import Path

from resnoise.storage.checksum import file_digest

_LIBRARY = Path(__file__).resolve().parents[2]


def root(path: Path) -> Path:
    """Return the folder from which a file imports its neighbours.

    It is the file's own folder or, if that is a package, the folder around the package.
    """
    folder = path.parent
    while (folder / "__init__.py").is_file():
        folder = folder / ".."
    return folder


def module_name(path: Path) -> str:
    """Return the name under which a file is imported from ``root``, such as "models.resnet"."""
    names = path.resolve().relative_to(root(path).resolve()).with_suffix("").parts
    return ".".join(names)


def sources(path: Path) -> list[Path]:
    """Return a file and all files that it imports from ``root`` or from this project, sorted.

    Imports anywhere in the files count, directly or through other files, but not modules that are
    imported by name at run time. What cannot be read or parsed has no imports.
    """
    # Relative, because Snakemake remembers inputs by name: moving the checkout makes nothing stale.
    roots = [root(path), Path(os.path.relpath(_LIBRARY))]
    found: set[Path] = set()
    waiting = [path]
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found.add(file)
        for place in roots:
            for name in _imports(file, place):
                waiting.extend(_files(place, name))
    return sorted(found)


def digest(path: Path) -> str:
    """Return a SHA-256 over the contents of all ``sources``; their names do not matter.

    Raises:
        ResnoiseError: a file is missing or unreadable.
    """
    digests = sorted(map(file_digest, sources(path)))
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _imports(file: Path, place: Path) -> set[str]:
    """Return dotted names that a file may import; those of relative imports as seen from a root."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return set()
    package: tuple[str, ...] = ()
    if file.resolve().is_relative_to(place.resolve()):
        package = file.resolve().relative_to(place.resolve()).parent.parts
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            around = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*around, *([node.module] if node.module else [])])
            names.add(base)
            names.update(f"{base}.{alias.name}" if base else alias.name for alias in node.names)
    return names


def _files(place: Path, name: str) -> list[Path]:
    """Return the files that ``import name`` executes, as far as they are below a root."""
    found = []
    parts = [part for part in name.split(".") if part]
    for count in range(1, len(parts) + 1):
        base = place.joinpath(*parts[:count])
        found += [base.with_suffix(".py"), base / "__init__.py"]
    return [file for file in found if file.is_file()]
