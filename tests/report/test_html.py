import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medbench.anchors import Anchor
from medbench.errors import MedbenchError
from medbench.judgement import Check, Interval
from medbench.report import html
from medbench.report.record import ItemResult
from medbench.report.write import write
from medbench.synthesis import Conclusion, PropertyVerdict
from tests.judging import judgement as a_judgement
from tests.report.records import DRIFT, judgement, report, result, run, sample


class Page(HTMLParser):
    """What a browser would see: open elements must be closed, and all text is collected."""

    VOID = ("meta", "br", "line", "circle", "link", "input")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.texts = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


FULL = report(
    result("chest/a/id", runs=[run(1), run(2, "loaded")]),
    result(check=DRIFT, category="failed", red=True),
    result("chest/b/id", state="missing", verdict=None, effect=None, reason="one class", power=None),
    ItemResult(id="chest/c/id", category="error", red=True, sentence="weights not found"),
    ItemResult(
        id="chest/d/id",
        category="failed",
        red=True,
        sentence="gone",
        check=Check(id="chest/d/id", status="vanished", detail="no longer declared"),
    ),
    scope="These verdicts speak of two backbones only.",
    warnings=["patients are not known"],
)


def test_the_page_shows_claims_evidence_verdicts_and_provenance():
    text = Page(html.render(FULL)).text
    for fact in (
        "More photographs help.",
        "+0.021 [+0.008, +0.034]",
        "0.81000",
        "Power 0.90",
        "drifted",
        "no longer declared",
        "weights not found",
        "one class",
        "a reference run, not measured here",
        "These verdicts speak of two backbones only.",
        "patients are not known",
    ):
        assert fact in text, fact


def test_differences_come_before_the_claims():
    text = Page(html.render(FULL)).text
    assert text.index("Differences from what was accepted") < text.index("Claims")


def test_the_page_needs_nothing_from_outside():
    page = Page(html.render(FULL))
    assert not {"src", "style", "onload", "onclick"} & {name for name, _ in page.attributes}
    assert all(value.startswith("#") for name, value in page.attributes if name == "href")
    assert not re.search(r"https?://|@import|url\(", html.render(FULL))


def test_only_its_own_style_and_script_are_allowed_by_their_hashes():
    text = html.render(FULL)
    policy = re.search(r'Content-Security-Policy" content="(.*?)"', text)[1]
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src &#39;sha256-{digest}&#39;" in policy.replace("&#43;", "+")


def test_generated_images_are_marked_and_real_ones_are_not():
    assert "Generated images." in Page(html.render(FULL)).text
    assert "Generated images." not in Page(html.render(report(result(generated=False)))).text


@given(text=st.text(st.sampled_from("<>&\"'{}%ä b/"), min_size=1, max_size=30))
def test_whatever_a_record_says_is_text_and_never_markup(text):
    made = report(
        result(statement=text, groups={text: [text]}, environments=[text]),
        ItemResult(id=text, category="error", red=True, sentence=text),
        scope=text,
        warnings=[text],
    )
    page = Page(html.render(made))
    assert page.text.count(" ".join(text.split())) >= (5 if text.strip() else 0)
    harmless = report(
        result(statement="a", groups={"a": ["a"]}, environments=["a"]),
        ItemResult(id="a", category="error", red=True, sentence="a"),
        scope="a",
        warnings=["a"],
    )
    assert page.tags == Page(html.render(harmless)).tags


def test_what_hides_or_turns_text_is_spelt_out():
    text = html.render(report(result(statement="a\u202eb\x00\ud800"), scope="\u200b"))
    assert "a\\u202eb\\x00\\ud800" in text
    assert not re.search("[\u202e\x00\u200b]", text)


def test_the_headline_is_quiet_or_says_what_moved_and_how_to_accept_it():
    quiet = Page(html.render(report(result()))).text
    assert "Quiet: nothing moved" in quiet
    loud = Page(html.render(report(result(check=DRIFT, category="failed", red=True)))).text
    assert "1 item moved against what was accepted" in loud
    assert "-k chest/scale-data/id --runs=force --expect=update" in loud


def test_the_index_has_a_row_a_claim_and_numbers_alone():
    made = html.index(FULL)
    assert len(made) == len(FULL.claims)
    for row, claim in zip(made, FULL.claims, strict=True):
        assert row[3] == claim.red
        assert len(row[4]) == 9
        assert row[4][2] == (claim.effect and claim.effect.value)


def test_a_claim_leads_to_its_runs():
    text = html.render(FULL)
    assert 'href="#r1">1 to 2</a>' in text
    assert 'id="r1"' in text
    assert html.ranges([1, 2, 3, 5, 7, 8]) == [(1, 3), (5, 5), (7, 8)]


@given(
    effects=st.lists(st.tuples(*[st.floats(-1, 1) for _ in range(3)]).map(sorted), min_size=1, max_size=4),
    margin=st.floats(0, 0.5),
)
def test_bars_stay_within_the_drawing_and_keep_their_order(effects, margin):
    made = report(
        *(
            result(f"chest/c{i}/id", effect=Interval(low=low, value=value, high=high), margin=margin)
            for i, (low, value, high) in enumerate(effects)
        )
    )
    for bar in html.bars(made.claims).values():
        assert all(0 <= x <= html._WIDTH for x in (*bar[:4], *bar.bounds))
        assert bar.low <= bar.value <= bar.high
        assert bar.zero <= bar.bounds[0]
        assert len(bar.bounds) == 1


def test_one_very_long_interval_leaves_the_bars_of_its_metric_readable():
    usual = [result(f"chest/c{i}/id") for i in range(9)]
    long = result("chest/long/id", effect=Interval(value=0.02, low=-5.0, high=9.0))
    made = html.bars(report(*usual, long).claims)
    assert made["chest/c0/id"].high - made["chest/c0/id"].low > html._WIDTH / 2
    assert (made["chest/long/id"].low, made["chest/long/id"].high) == (6.0, html._WIDTH - 6.0)


def test_on_paper_is_the_evidence_of_all_of_few_claims_and_of_what_is_red_or_moved_of_many():
    few = [result(f"chest/c{i}/id") for i in range(3)]
    assert html.printed(report(*few)) == {"chest/c0/id", "chest/c1/id", "chest/c2/id"}
    check = msgspec.structs.replace(DRIFT, id="chest/moved/id")
    many = [result(f"chest/c{i}/id") for i in range(html.ALL_ON_PAPER)]
    made = report(*many, result("chest/red/id", red=True), result("chest/moved/id", check=check))
    assert html.printed(made) == {"chest/red/id", "chest/moved/id"}
    assert html.render(made).count('class="printed"') == 2


@pytest.mark.parametrize(
    ("predicate", "sides", "margin"),
    [("superiority", [1], "0.005"), ("non-inferiority", [-1], "-0.005"), ("equivalence", [-1, 1], "±0.005")],
)
def test_a_bar_shows_every_bound_of_its_predicate_and_the_table_its_sign(predicate, sides, margin):
    definition = msgspec.structs.replace(a_judgement().definition, predicate=predicate)
    made = report(result(definition=definition))
    ((bar),) = html.bars(made.claims).values()
    assert [1 if bound > bar.zero else -1 for bound in bar.bounds] == sides
    (drawn,) = re.findall('<svg class="bar.*?class="margin" d="(.*?)".*?</svg>', html.render(made))
    assert [float(place) for place in re.findall(r"M([\d.]+) 0v16", drawn)] == list(bar.bounds)
    assert f" {margin} supported" in Page(html.render(made)).text


def test_the_evidence_has_raw_and_adjusted_p_values_and_how_the_interval_was_made():
    made = report(
        result("chest/a/id", p=0.02, family="scale", interval="influence"),
        result("chest/b/id", p=0.0001, family="scale", interval="bootstrap", undefined_replicates=7),
        result("chest/c/id", p=0.03, family="ood"),
        result("chest/d/id", verdict="inconclusive"),
    )
    text = Page(html.render(made)).text
    assert (
        "p = 0.020; adjusted within family scale (Holm) 0.020, over this run (Benjamini–Hochberg) 0.030"
        in text
    )
    assert "p = <.001; adjusted within family scale (Holm) <.001" in text
    assert "p = 0.030; adjusted within family ood (Holm) 0.030" in text
    assert text.count("p = ") == 3
    assert text.count("Variance over patients by influence.") == 1
    assert text.count("7 of 1000 bootstrap replicates undefined.") == text.count("replicates undefined") == 1
    assert [claim.p_holm for claim in made.claims] == [0.02, 0.0002, 0.03, None]
    assert html.p_value(None) == "–"


def test_a_report_of_nothing_but_errors_is_a_page_too():
    made = report(ItemResult(id="chest/a/id", category="error", red=True, sentence="no weights"))
    assert "no weights" in Page(html.render(made)).text


def test_all_files_are_replaced_whole(tmp_path):
    folder = tmp_path / "new/out"
    write(report(result()), folder)
    write(FULL, folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        *("report.csv", "report.html", "report.json", "report.md")
    ]
    assert "weights not found" in (folder / "report.html").read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MedbenchError, match=r"file.*cannot be written.*--report"):
        write(report(result()), tmp_path / "file")


def test_judgements_of_real_patients_are_no_less_marked_by_their_cluster():
    assert judgement(cluster="study").cluster == "study"
    assert "clustered by `study`" in Page(html.render(report(result(cluster="study")))).text


def test_a_large_page_packs_the_evidence_of_what_neither_failed_nor_moved(monkeypatch):
    made = report(
        result(check=DRIFT, category="failed", red=True),
        result("chest/a/id", family="<scale>", p=0.02, runs=[run(1), run(2)]),
        result("chest/b/id", samples={"baseline": {1: 0.5}, "treatment": {1: 0.25}}),
    )
    whole = re.findall(
        r"<noscript>(<div class=.evidence.*?</div>)\s*</noscript>", html.render(made), re.DOTALL
    )
    assert len(whole) == 3
    monkeypatch.setattr(html, "INLINE", 2)
    monkeypatch.setattr(html, "ALL_ON_PAPER", 0)
    page = html.render(made)
    assert (
        re.findall(r"<noscript>(<div class=.evidence.*?</div>)\s*</noscript>", page, re.DOTALL) == whole[:1]
    )
    assert re.findall(r'id="(chest/./id)".*?data-packed="(\d)"', page, re.DOTALL) == [
        ("chest/a/id", "0"),
        ("chest/b/id", "1"),
    ]
    (blob,) = re.findall('id="packed">(.*?)</script>', page)
    texts = json.loads(gzip.decompress(base64.b64decode(blob)))
    assert [text.strip() for text in texts] == whole[1:]
    assert "&lt;scale&gt;" in texts[0]
    assert html.render(made) == page


def test_what_is_to_be_printed_is_never_packed(monkeypatch):
    monkeypatch.setattr(html, "INLINE", 10)
    made = sample()
    assert len(made.claims) > html.ALL_ON_PAPER
    loud = made.claims[-1].id
    since = msgspec.structs.replace(
        made.since, differences=[msgspec.structs.replace(made.since.differences[0], id=loud)]
    )
    made = msgspec.structs.replace(made, since=since)
    assert loud in html.printed(made)
    row = html.render(made).partition(f'id="{loud}"')[2].partition("</tr>")[0]
    assert "data-packed" not in row
    assert 'class="evidence"' in row


def test_a_cluster_is_not_called_a_patient():
    def counted(**changes):
        return re.search(r"\d+ images of \d+ (.*?),", Page(html.render(report(result(**changes)))).text)[1]

    assert counted() == "patients"
    assert counted(cluster="study") == "clusters (by `study`)"


def cells(row):
    """The texts of a table's row."""
    return [" ".join(re.sub(r"<[^>]+>", " ", cell).split()) for cell in re.findall(r"<t[hd].*?</t[hd]>", row)]


def rows(page):
    return [cells(row) for row in re.findall(r"<tr.*?</tr>", page, re.DOTALL)]


def test_what_a_property_comes_to_stands_below_its_name_in_every_task():
    def of(task, *properties, left_out=()):
        each = [
            PropertyVerdict(property=name, at_scale=name, small="refuted", only_at_scale="inconclusive")
            for name in properties
        ]
        return Conclusion(
            task=task,
            synthesis="only-at-scale",
            statement="<b>",
            verdict="inconclusive",
            properties=each,
            left_out=list(left_out),
            generated=False,
        )

    conclusions = [of("chest", "fair", left_out=["robust"]), of("derm", "robust", "fair")]
    page = html.render(msgspec.structs.replace(report(), syntheses=conclusions))
    heading, chest, derm = rows(page[page.index("only-at-scale") - 60 :])[:3]
    assert heading == ["task", "only-at-scale", "fair", "robust"]
    assert chest == ["chest", "inconclusive", "at scale: fair when small: refuted", "not judged"]
    assert [cell.split()[2] for cell in derm[2:]] == heading[2:]
    assert "<b>" not in page


def test_a_value_stands_below_its_seed_where_another_is_undefined():
    page = html.render(report(result(samples={"baseline": {2: 0.5}, "treatment": {1: 0.25, 2: 0.75}})))
    [heading, baseline, treatment] = [
        row for row in rows(page[page.index('class="samples"') :]) if len(row) == 3
    ][:3]
    assert heading[1:] == ["seed 1", "seed 2"]
    assert (baseline[1:], treatment[1:]) == (["–", "0.50000"], ["0.25000", "0.75000"])


def test_what_images_were_joined_to_is_not_called_images():
    definition = msgspec.structs.replace(a_judgement().definition, units="max by patient")
    text = Page(html.render(report(result(definition=definition, n_images=40)))).text
    assert "40 scores (max by patient of images) of" in text
    assert "40 images" in Page(html.render(report(result(n_images=40)))).text


def test_published_values_are_shown_with_their_sources_where_there_are_any():
    anchor = Anchor(
        set="padchest",
        domain="chest",
        model="BiT",
        metric="mean AUC",
        value=[0.8, 0.84],
        source="Cherti 2021",
    )
    page = html.render(report(result(), anchors=[anchor]))
    assert "Published by others" in page
    assert "0.8 to 0.84" in page
    assert "Cherti" in page
    assert "Published by others" not in html.render(report(result()))
