"""The page of the folder ``reference`` names the weights that lie there."""

from pathlib import Path

from resnoise.storage.checksum import file_digest
from resnoise.storage.pages import read_page

REFERENCE = Path(__file__).resolve().parents[2] / "reference"


def test_the_page_has_the_digests_of_all_weights() -> None:
    page = read_page(REFERENCE / "README.md")
    files = [*REFERENCE.rglob("weights.safetensors")]
    assert len(files) == 2
    for file in files:
        name = file.parent.relative_to(REFERENCE / "runs").as_posix()
        assert f"\n- {name}: {file_digest(file)}\n" in page
