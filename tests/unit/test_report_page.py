"""The report: one file that needs nothing else, complete, escaped, and readable."""

import base64
import itertools
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import report_pages
import rule_files
import yaml

from resnoise.config import load as configuration
from resnoise.errors import ResnoiseError
from resnoise.plan import artefacts
from resnoise.plan.artefacts import ARTEFACTS, ELSEWHERE
from resnoise.report import facts, page
from resnoise.storage import csvfile
from resnoise.storage.digests import write_json
from resnoise.storage.pages import write_page

ROOT = Path(__file__).resolve().parents[2]
# Those of networks trained elsewhere speak of a rule's wildcards; the report does not show them.
CAPTIONS = sorted((ROOT / "config" / "captions").glob("[!e]*.rst"))


class Page(HTMLParser):
    """The elements of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def values(self, tag: str, name: str) -> list[str]:
        """Return an attribute of all elements of a kind that have it."""
        return [found[name] for kind, found in self.elements if kind == tag and name in found]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    return report_pages.write(tmp_path_factory.mktemp("results")).read_text("utf-8")


def test_it_needs_nothing_from_elsewhere(text: str) -> None:
    found = Page(text)
    for tag, attributes in found.elements:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            assert attributes.get(name, "#").startswith(("#", "data:")), (tag, attributes)
    assert not re.search(r"@import|url\(|https?://", text)
    assert not found.values("script", "src") and not found.values("link", "integrity")


def test_it_says_everything(text: str) -> None:
    for words in (
        "Reduced scale.",
        "scikit-learn&#39;s digits instead of CIFAR-10",
        "Training risk of plain networks.",
        "0.07227",
        "0.05 to 0.09",
        "not as in the paper: the pictures, the training",
        "snakemake --cores all results/report.html",
        "AMD EPYC",
        "torch 2.14.1",
        "3 epochs",
        "11 min 19 s",
        "2 of 3",
        "diverged",
        "cat, dog",
        "32 x 32 pixels",
        "5" * 64,
        "c" * 64,
        "learning_rate: 0.002",
    ):
        assert words in text, words
    # Names from elsewhere are text, never elements.
    assert "<b>bold</b>" not in text and "&lt;b&gt;bold&lt;/b&gt;" in text


def test_the_summary_counts_statements_and_numbers_apart(text: str) -> None:
    counts = re.findall(r'class="count">(\d+)<', text)
    names = re.findall(r'class="name">([^<]+)<', text)
    assert dict(zip(names, counts, strict=True)) == {
        "statements that hold": "2",
        "statements that do not hold": "1",
        "numbers compared": "2",
        "not measured at this scale": "1",
    }
    notes = re.findall(r'class="note">([^<]+)<', text)
    assert notes == [
        "1 reproduced, 1 direction only",
        "1 of them at reduced scale",
        " at reduced scale",
        "1 reproduced, 1 not comparable at this scale",
    ]


def test_tables_and_figures_come_in_the_given_order_with_captions(text: str) -> None:
    assert re.findall(r'<article id="(\w+)"', text) == ["figure3", "table1"]
    found = Page(text)
    (picture,) = found.values("img", "src")
    assert base64.b64decode(picture.partition(",")[2]) == report_pages.PNG
    (alternative,) = found.values("img", "alt")
    assert alternative == "Figure 3: layer cushions. A figure of depth 20."
    # The table's title stands as the page's heading and nowhere else.
    assert "0.1 \N{PLUS-MINUS SIGN} 0.01" in text and "# Table 1" not in text
    (data,) = {uri for uri in found.values("a", "href") if uri.startswith("data:text/csv")}
    assert base64.b64decode(data.partition(",")[2]) == b"a,b\n1,2\n"


def test_networks_trained_elsewhere_have_a_section_of_their_own(text: str, tmp_path: Path) -> None:
    assert "elsewhere" not in text
    report_pages.write(tmp_path)
    (tmp_path / "external").mkdir()
    for name in ("layer_cushions", "gradient_flows"):
        (tmp_path / f"external/{name}.png").write_bytes(report_pages.PNG)
    write_page(tmp_path / "external/networks.md", "# Networks\n\n| network |\n|---|\n| mine |\n")
    for name in ("networks", "layer_cushions", "gradient_flows"):
        csvfile.write(tmp_path / f"external/{name}.csv", pd.DataFrame({"network": ["mine"]}))
    others = [
        page.Item(
            *(shown.name, shown.title, shown.place),
            *(tmp_path / shown.file, tmp_path / shown.data, tmp_path / "table1.rst"),
        )
        for shown in ELSEWHERE
    ]
    html = report_pages.build(tmp_path, others=others)
    sections = re.split(r'<section id="', html)
    parts = {section.partition('"')[0]: section for section in sections[1:]}
    assert list(parts)[-3:] == ["results", "elsewhere", "origin"]
    names = [shown.name for shown in ELSEWHERE]
    assert re.findall(r'<article id="(\w+)"', parts["results"]) == ["figure3", "table1"]
    assert re.findall(r'<article id="(\w+)"', parts["elsewhere"]) == names
    assert ">mine<" in parts["elsewhere"] and 'class="place"' not in parts["elsewhere"]
    links = Page(sections[0]).values("a", "href")
    assert [f"#{name}" for name in ("elsewhere", *names)] == links[-len(names) - 8 : -7]
    assert "external/networks.csv" in parts["origin"]


def test_every_name_is_there_once_and_every_link_leads_somewhere(text: str) -> None:
    found = Page(text)
    names = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(names) == len(set(names))
    targets = {link[1:] for link in found.values("a", "href") if link.startswith("#")}
    assert targets <= {*names}
    labels = " ".join(a["aria-labelledby"] for _, a in found.elements if "aria-labelledby" in a)
    assert {*labels.split()} <= {*names}


def test_headings_skip_no_level(text: str) -> None:
    levels = [int(tag[1]) for tag, _ in Page(text).elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_the_papers_scale_is_said_too(tmp_path: Path) -> None:
    full = report_pages.write(tmp_path, differences={"data": []}).read_text("utf-8")
    assert "The paper's scale." in full and "Reduced scale." not in full


@pytest.mark.parametrize("file", CAPTIONS, ids=lambda file: file.stem)
def test_captions_can_be_shown(file: Path) -> None:
    html = page._caption(file, configuration.load({}))
    assert html.startswith("<p>") and "{{" not in html and "problematic" not in html


def test_a_caption_that_cannot_be_shown_is_named(tmp_path: Path) -> None:
    caption = tmp_path / "figure3.rst"
    for wrong in ("|Wx| is no substitution.", "{{ snakemake.nothing }}", "{% if %}"):
        caption.write_text(wrong, "utf-8")
        with pytest.raises(ResnoiseError, match=r"figure3\.rst: not a caption"):
            page._caption(caption, {})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    report_pages.write(tmp_path)
    (tmp_path / "table1.md").unlink()
    with pytest.raises(ResnoiseError, match=r"table1\.md"):
        report_pages.build(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        *("claims.csv", "table1.md", "table1.csv", "figure3.png", "figure3.csv"),
        *("runs/plain-20/kwi/seed1/run.json", "data.safetensors"),
    ],
)
def test_a_changed_file_is_named_and_not_shown(tmp_path: Path, name: str) -> None:
    report_pages.write(tmp_path)
    content = bytearray((tmp_path / name).read_bytes())
    content[len(content) * 3 // 4] ^= 1
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ResnoiseError, match=f"{name}: .*delete it and rerun"):
        report_pages.build(tmp_path)


def test_runs_that_were_taken_are_named(tmp_path: Path) -> None:
    report_pages.write(tmp_path)
    one, two = (report_pages.record(seed, "done") for seed in (1, 2))
    one["trained_on"], two["trained_on"] = one["data_digest"], "other"
    for seed, record in enumerate((one, two), 1):
        write_json(tmp_path / f"runs/plain-20/kwi/seed{seed}/run.json", record)
    text = report_pages.build(tmp_path)
    assert "<td>done, trained elsewhere</td>" in text
    assert "<td>done, trained elsewhere on other pictures</td>" in text


@pytest.mark.parametrize("content", [{}, {"spec": 1, "sessions": []}, {"sessions": 1}])
def test_a_record_of_something_else_is_named(tmp_path: Path, content: dict[str, Any]) -> None:
    report_pages.write(tmp_path)
    write_json(tmp_path / "runs/plain-20/kwi/seed1/run.json", content)
    with pytest.raises(ResnoiseError, match=r"seed1/run\.json: not the record of a run"):
        report_pages.build(tmp_path)


def test_large_data_is_named_and_not_embedded(tmp_path: Path) -> None:
    report_pages.write(tmp_path)
    csvfile.write(tmp_path / "table1.csv", pd.DataFrame({"a": np.ones(200_000)}))
    text = report_pages.build(tmp_path)
    assert "<code>table1.csv</code> in the results folder" in text
    assert len(text) < 200_000


def test_durations() -> None:
    assert [page.duration(s) for s in (0.4, 59, 60, 3599, 3600, 100_000)] == [
        "0 s",
        "59 s",
        "1 min 00 s",
        "59 min 59 s",
        "1 h 00 min",
        "27 h 46 min",
    ]


def luminance(colour: str) -> float:
    """Return the relative luminance of "#rrggbb" (WCAG 2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_stands_out_from_its_background_in_light_and_dark() -> None:
    style = (page.HERE / "style.css").read_text("utf-8")
    schemes = [dict(re.findall(r"--(\S+): (#\w{6});", part)) for part in style.split("@media")[:2]]
    assert all(len(scheme) == 16 for scheme in schemes)
    pairs = [(ink, ground) for ink in ("ink", "soft", "accent") for ground in ("paper", "raised")]
    pairs += [(tone, f"{tone}-tint") for tone in ("good", "half", "bad", "apart", "none")]
    pairs += [("ink", "half-tint"), ("ink", "good-tint")]
    for scheme in schemes:
        for ink, ground in pairs:
            high, low = sorted((luminance(scheme[ink]), luminance(scheme[ground])), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 4.5, (ink, ground)


def test_every_table_and_figure_of_the_rules_is_in_the_list() -> None:
    reported = {
        name
        for name, rule in rule_files.making().items()
        if re.search(r"(?:shown|figure|table)\(", rule.text)
        and not re.match("external|conjecture", name)
    }
    # Not of the paper: snapshots of figure 3, further runs and metrics are options; the claims have
    # a place of their own.
    others = {"figure3_snapshots", "run_table", "metric_table", "metric_figure", "claims"}
    assert reported - others <= {artefact.name for artefact in ARTEFACTS}


def test_every_output_for_people_has_caption_category_and_label() -> None:
    captions = ROOT / "config" / "captions"
    for name, rule in rule_files.making().items():
        for kind, given in re.findall(r"\*\*(figure|table)\((.*?)\)[,\n]", rule.text, re.DOTALL):
            (stem,) = re.findall(r'^\s*"(\S+)"', given)
            stem = artefacts.stem(stem)
            places = {"ELSEWHERE": "external_", 'category="Conjecture"': "conjecture_"}
            prefix = next((own for place, own in places.items() if place in given), "")
            (caption,) = re.findall(r'caption="(\w+)"', given) or [f"{prefix}{stem}"]
            assert (captions / f"{caption}.rst").is_file(), name
            assert artefacts.title(stem), (name, kind)


def test_the_configuration_is_shown_as_yaml(text: str) -> None:
    shown = re.search(r"defaults included</summary>\n<pre><code>(.*?)</code>", text, re.DOTALL)
    assert shown and yaml.safe_load(shown[1]) == json.loads(json.dumps(report_pages.CONFIG))


def test_the_last_check_of_all_files_is_said_in_words(tmp_path: Path) -> None:
    file = tmp_path / "verified.json"
    counts = {"damaged": 1, "foreign": 0, "sound": 130}
    write_json(file, {"checked": "2026-01-02T03:04:05+00:00", "counts": counts})
    assert facts.verified(file) == "2026-01-02 03:04 UTC: 1 damaged, 130 sound"
    write_json(file, {"checked": 1})
    with pytest.raises(ResnoiseError, match=r"verified.json: damaged"):
        facts.verified(file)
