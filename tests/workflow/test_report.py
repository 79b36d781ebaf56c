"""The report through the workflow: complete, and sound in a browser."""

import json
import re
import zipfile
from pathlib import Path

import browsers
import pytest
import rule_files
from projects import Project
from selenium.webdriver.common.by import By

from resnoise.plan.artefacts import ARTEFACTS, ELSEWHERE

pytestmark = pytest.mark.thorough


def test_the_report_is_sound(everything: Project) -> None:
    page = everything.results / "report.html"
    text = page.read_text("utf-8")
    assert "snakemake --cores all results/tiny/report.html --configfile config/tiny.yaml" in text
    record = json.loads((everything.results / "runs/plain-8/kwi/seed1/run.json").read_text("utf-8"))
    assert record["data_digest"] in text and record["code_digest"] in text
    # All tables and figures that there are rules for, in the paper's order, then those of networks
    # that were trained elsewhere.
    rules = rule_files.read(everything.root)
    there = [artefact.name for artefact in (*ARTEFACTS, *ELSEWHERE) if artefact.name in rules]
    assert len(there) >= 15 and re.findall(r'<article id="(\w+)"', text) == there
    with browsers.browser() as chrome:
        chrome.get(page.as_uri())
        browsers.assert_sound(chrome)
        for width in (390, 1400):
            browsers.set_width(chrome, width)
            assert browsers.overflow(chrome) == 0
        # On a phone, texts in figures are as large as on a screen; the rest is scrolled to.
        browsers.set_width(chrome, 390)
        sizes = chrome.execute_script(
            "return [...document.querySelectorAll('.frame img')]"
            ".map(picture => [picture.width, picture.naturalWidth])"
        )
        assert len(sizes) > 4
        assert all(width >= min(natural / 2, 960) - 1 for width, natural in sizes)
        with browsers.paper(chrome):
            assert browsers.overflow(chrome) == 0 and browsers.broken_numbers(chrome) == []
        assert len(chrome.find_elements(By.TAG_NAME, "img")) >= 4
        assert chrome.find_elements(By.CSS_SELECTOR, ".tables table.sortable")


def test_no_result_holds_a_password(everything: Project) -> None:
    text = (everything.results / "report.html").read_text("utf-8")
    assert "https://***@example.org/x?***" in text
    assert b"s3cret" in (everything.root / "config" / "tiny.yaml").read_bytes()
    files = [file for file in everything.results.rglob("*") if file.is_file()]
    assert [file for file in files if b"s3cret" in file.read_bytes()] == []


def test_snakemakes_own_report_has_captions_and_categories(
    everything: Project, tmp_path: Path
) -> None:
    archive = tmp_path / "report.zip"
    # What Snakemake writes on the way must not be where others copy from.
    everything.copy_to(tmp_path / "project").snakemake(
        "--report", str(archive), "results/tiny/report.html"
    )
    with zipfile.ZipFile(archive) as files:
        pages = [name for name in files.namelist() if name.endswith(".html")]
        found = "".join(files.read(name).decode("utf-8") for name in pages)
    for words in (
        "Figure 3 (section 5)",
        "Tables",
        "Figures",
        "Claims",
        "Table 2 (section 4.1)",
        "Networks trained elsewhere",
        "All networks side by side",
    ):
        assert words in found
    # Values in captions are those of the configuration, defaults included.
    assert r"magnitude above 0.25, and the ID\nentries" in found
    # The counts of the claims on its first page, and tables as HTML.
    assert r"<td>statements that hold</td>\n<td>" in found
    assert any(Path(page).name == "table1.html" for page in pages)
    assert "System Message" not in found and "problematic" not in found
