"""The store: what is kept is found by what it is, undamaged or not at all."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from resnoise.errors import ResnoiseError
from resnoise.storage import store as stores
from resnoise.storage.store import Store

IDENTITY = {"result": "run", "spec": "x", "code": "c"}
CONTENTS = {"weights.bin": b"weights", "plain/run.json": b"{}"}


def written(folder: Path) -> dict[str, Path]:
    """Write the files of a result and return them by name."""
    for name, content in CONTENTS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return {name: folder / name for name in CONTENTS}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with one result."""
    found = Store(tmp_path / "store")
    found.keep(IDENTITY, written(tmp_path / "made"))
    return found


def wanted(folder: Path) -> dict[str, Path]:
    return {name: folder / name for name in CONTENTS}


def test_a_kept_result_outlives_its_files_and_is_linked(store: Store, tmp_path: Path) -> None:
    kept = store.place(IDENTITY) / "weights.bin"
    # Damage of the result does not reach what is kept.
    (tmp_path / "made" / "weights.bin").write_bytes(b"damaged")
    shutil.rmtree(tmp_path / "made")
    for number in range(2):
        # The second time over files that are there, links to the same.
        assert store.fetch(IDENTITY, wanted(tmp_path / "other")), number
        for name, content in CONTENTS.items():
            assert (tmp_path / "other" / name).read_bytes() == content
    assert kept.samefile(tmp_path / "other" / "weights.bin")
    assert sorted(path.name for path in (tmp_path / "other").iterdir()) == ["plain", "weights.bin"]


def test_a_fetched_file_is_newer_than_what_was_there_before(store: Store, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.touch()
    store.fetch(IDENTITY, wanted(tmp_path / "other"))
    times = [(tmp_path / "other" / name).stat().st_mtime_ns for name in CONTENTS]
    assert min(times) >= data.stat().st_mtime_ns


@pytest.mark.parametrize("key", [*IDENTITY, "more"])
def test_another_identity_is_another_result(store: Store, tmp_path: Path, key: str) -> None:
    assert not store.fetch({**IDENTITY, key: "other"}, wanted(tmp_path / "other"))
    assert not (tmp_path / "other").exists()


def _flip(entry: Path) -> None:
    content = bytearray((entry / "weights.bin").read_bytes())
    content[2] ^= 1
    (entry / "weights.bin").write_bytes(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "flipped": _flip,
    "cut": lambda entry: (entry / "weights.bin").write_bytes(b"weig"),
    "gone": lambda entry: (entry / "plain/run.json").unlink(),
    "facts cut": lambda entry: (entry / stores.FACTS).write_bytes(b'{"identity'),
    "facts gone": lambda entry: (entry / stores.FACTS).unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_not_used_and_is_replaced(
    store: Store, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    DAMAGES[damage](store.place(IDENTITY))
    assert not store.fetch(IDENTITY, wanted(tmp_path / "other"))
    assert not (tmp_path / "other").exists()
    (said,) = [record.getMessage() for record in caplog.records]
    assert "made anew" in said and str(store.place(IDENTITY)) in said
    store.keep(IDENTITY, written(tmp_path / "again"))
    assert store.fetch(IDENTITY, wanted(tmp_path / "other"))
    assert (tmp_path / "other" / "weights.bin").read_bytes() == b"weights"
    stores.check(stores.read(store.place(IDENTITY)))


def test_a_file_that_an_entry_lacks_is_not_made_up(store: Store, tmp_path: Path) -> None:
    outputs = {**wanted(tmp_path / "other"), "drift.csv": tmp_path / "other" / "drift.csv"}
    assert not store.fetch(IDENTITY, outputs)


def test_a_store_that_cannot_be_written_loses_no_result(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "store").write_text("a file")
    Store(tmp_path / "store").keep(IDENTITY, written(tmp_path / "made"))
    assert "not kept" in caplog.text
    assert (tmp_path / "made" / "weights.bin").read_bytes() == b"weights"


def test_files_are_copied_where_there_are_no_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refuse)
    store = Store(tmp_path / "store")
    store.keep(IDENTITY, written(tmp_path / "made"))
    assert store.fetch(IDENTITY, wanted(tmp_path / "other"))
    assert (tmp_path / "other" / "weights.bin").read_bytes() == b"weights"
    assert not store.unfinished()


def test_files_of_somebody_else_are_copied(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only their owner can change the mode of a link to them.
    monkeypatch.setattr("os.geteuid", lambda: 123_456)
    assert store.fetch(IDENTITY, wanted(tmp_path / "other"))
    kept = store.place(IDENTITY) / "weights.bin"
    assert not kept.samefile(tmp_path / "other" / "weights.bin")
    assert (tmp_path / "other" / "weights.bin").read_bytes() == b"weights"


def test_a_copy_that_went_wrong_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("os.copy_file_range", lambda *_: 0)
    store = Store(tmp_path / "store")
    store.keep(IDENTITY, written(tmp_path / "made"))
    assert not store.fetch(IDENTITY, wanted(tmp_path / "other"))
    assert "the file was changed or damaged" in caplog.text


def test_large_files_take_no_more_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "_LINKED", len(CONTENTS["weights.bin"]))
    store = Store(tmp_path / "store")
    made = written(tmp_path / "made")
    store.keep(IDENTITY, made)
    linked = {name for name in CONTENTS if (store.place(IDENTITY) / name).samefile(made[name])}
    assert linked == {"weights.bin"}


def test_entries_are_listed_and_leftovers_told_apart(store: Store) -> None:
    (store.folder / ".unfinished-abc").mkdir()
    assert [*store.entries()] == [store.place(IDENTITY)]
    assert store.unfinished() == [store.folder / ".unfinished-abc"]
    entry = stores.read(store.place(IDENTITY))
    assert entry.identity == IDENTITY and entry.files.keys() == CONTENTS.keys()


def test_an_entry_without_facts_is_named(store: Store) -> None:
    (store.place(IDENTITY) / stores.FACTS).write_text("{}")
    with pytest.raises(ResnoiseError, match=stores.FACTS):
        stores.read(store.place(IDENTITY))
