"""Check every file of a results folder: is it sound, damaged, another run's, or out of date?"""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from resnoise import provenance
from resnoise.data import dataset
from resnoise.errors import ResnoiseError
from resnoise.plan import expected, records
from resnoise.specs.run import RunSpec
from resnoise.storage import identity, tensorfile
from resnoise.storage.checksum import file_digest
from resnoise.storage.digests import check_csv, check_digest, read_json, read_text
from resnoise.storage.pages import read_page, read_png

SOUND = "sound"
DAMAGED = "damaged"
FOREIGN = "foreign"
STALE = "stale"
UNCHECKED = "unchecked"
# In the order in which they are listed: worst first.
STATES = (DAMAGED, FOREIGN, STALE, UNCHECKED, SOUND)
# What should not stay as it is.
BAD = (DAMAGED, FOREIGN)
# In the results folder: when it was last checked, and what was found.
RECORD = "verified.json"


@dataclasses.dataclass(frozen=True)
class Finding:
    """What is known about a file.

    Attributes:
        file: the file.
        state: one of ``STATES``. Damaged: its content is not what was written. Foreign: it is
            sound, but of another run than its place says. Stale: the code or the environment that
            made it has changed. Unchecked: nothing says what its content should be.
        reason: why, in words; empty for a sound file.
    """

    file: Path
    state: str
    reason: str = ""


class Verifier:
    """Checks the files of one results folder.

    Attributes:
        has_records: whether the folder tells how its files were made; a published one does not, and
            nothing in it is stale.
    """

    def __init__(self, results: Path, config: Mapping[str, Any] | None) -> None:
        """Read what all checks share.

        Args:
            results: the results folder.
            config: its configuration; None if it is not known, so that files are compared only with
                the files beside them.
        """
        self.has_records = (results / records.FOLDER).is_dir()
        self._results = results
        self._config = config
        self._code = provenance.everything()
        self._digests: dict[Path, dict[str, str]] = {}
        data = results / "data.safetensors"
        try:
            self._data = tensorfile.load(data)[2] if data.exists() else None
        except ResnoiseError:
            # Reported when it is that file's turn.
            self._data = None

    def check(self, file: Path) -> Finding:
        """Return what is known about a file of the results folder."""
        try:
            checked = self._content(file)
        except (ResnoiseError, OSError) as error:
            return Finding(file, DAMAGED, str(error).removeprefix(f"{file}: "))
        try:
            self._belonging(file)
        except ResnoiseError as error:
            return Finding(file, FOREIGN, str(error).removeprefix(f"{file}: "))
        if self.has_records:
            changed = records.changed_code(self._results, file, self._code)
            if changed is None:
                return Finding(file, STALE, "there is no record of how it was made")
            if changed:
                return Finding(file, STALE, f"made with another version of {', '.join(changed)}")
        if not checked:
            return Finding(file, UNCHECKED, "nothing says what its content should be")
        return Finding(file, SOUND)

    def _content(self, file: Path) -> bool:
        """Check a file's content; return whether there is anything to compare it with.

        Raises:
            ResnoiseError: it is not what was written.
        """
        if file.suffix == ".sha256":
            table = file.with_name(file.stem)
            if not table.exists():
                raise ResnoiseError(f"{file}: {table.name} is not beside it")
            return True
        check = _CHECKS.get(file.suffix)
        if check is not None:
            check(file)
        listed = self._listed(file)
        return listed or check is not None

    def _listed(self, file: Path) -> bool:
        """Compare a file with its digest in a file of digests beside it; return if there is one."""
        if file.suffix not in (".md", ".html", ".png", ".pdf"):
            return False
        if file.parent not in self._digests:
            lines = (
                line.partition("  ")
                for beside in sorted(file.parent.glob("*.sha256"))
                for line in read_text(beside).splitlines()
                if not line.startswith("#")
            )
            self._digests[file.parent] = {name: digest for digest, _, name in lines}
        wanted = self._digests[file.parent].get(file.name)
        if wanted is not None:
            check_digest(file, file_digest(file), wanted, "a file of digests beside it")
        return wanted is not None

    def _belonging(self, file: Path) -> None:
        """Check that a file is of the run, the settings and the data that its place says.

        Raises:
            ResnoiseError: it is of others.
        """
        relative = file.relative_to(self._results).as_posix()
        run = expected.run_of(self._config, relative) if self._config else None
        if file.suffix == ".safetensors":
            self._weights(file, run)
        if file.name == "run.json" and self._data not in (None, read_json(file)["data_digest"]):
            raise ResnoiseError(f"{file}: trained on other data than data.safetensors")
        if self._config:
            identity.check([file], [expected.digest(self._config, relative)])
        else:
            identity.check_beside(file)

    def _weights(self, file: Path, run: RunSpec | None) -> None:
        """Check that a file of weights belongs to the run of its place and to its record."""
        _, facts, digest = tensorfile.load(file)
        if run is not None and facts.get("spec") != run.to_json():
            raise ResnoiseError(f"{file}: weights of another run than {file.parent.name}'s")
        record = file.with_name("run.json")
        if file.stem in ("weights", "snapshots") and record.exists():
            wanted = read_json(record).get("files", {}).get(file.stem)
            if digest != wanted:
                raise ResnoiseError(f"{file}: other weights than those that run.json names")


_CHECKS: dict[str, Callable[[Path], object]] = {
    ".csv": check_csv,
    ".json": read_json,
    ".md": read_page,
    ".html": read_page,
    ".png": read_png,
    ".safetensors": lambda file: (
        dataset.load(file) if file.name == "data.safetensors" else tensorfile.load(file)
    ),
}


def files(results: Path) -> list[Path]:
    """Return the files of a results folder that rules have written."""
    return [
        file
        for file in records.outputs(results)
        # The digest is checked with its table; it is listed where the table is missing.
        if file.suffix != ".sha256" or not file.with_name(file.stem).exists()
    ]
