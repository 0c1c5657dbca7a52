"""Tests of the page: its content, and names in it that must not act."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import itertools
import json
import pathlib
import re
import shutil
from collections import Counter

import pandas as pd
import pytest
from matplotlib import image

from components.common.errors import DataError
from components.common.escape import printable, printable_cell
from components.predictions import metrics
from components.report import page as page_lib
from components.report import study
from components.serving_check.outcome import ServingCheckResult
from pipeline.results.schema import NodeRun
from tests.components.report import plausible
from tests.components.report.parsed import Parsed
from tests.components.report.plausible import Rendered

NODES = {
    "SpectrogramGen": NodeRun("done", 93.2),
    "Trainer.<b>crnn</b>": NodeRun("cached", 0.25),
}


def test_hostile_names_make_no_element_and_no_attribute(hostile: Rendered) -> None:
    parsed = Parsed(page_lib.with_run(hostile.html, nodes=NODES, pushed_version="1"))
    assert parsed.wrong == []
    tags = Counter(element.tag for element in parsed.elements)
    for tag in ("script", "svg", "iframe", "form", "object", "embed", "link", "base"):
        assert tags[tag] == 0, tag
    assert tags["h1"] == tags["style"] == tags["title"] == 1
    assert tags["img"] == len(hostile.plots)
    for element in parsed.elements:
        for name, value in element.attributes.items():
            assert not name.startswith("on"), element
            assert name != "style", element
            if name in ("src", "href"):
                assert str(value).startswith(("data:image/png;base64,", "#")), element
    # Only the runner's own marks are comments.
    assert sorted(parsed.comments) == sorted(
        ["run:pushed", "/run:pushed", "run:timings", "/run:timings"]
    )


def test_hostile_names_are_shown_as_they_are_but_for_what_would_act(hostile: Rendered) -> None:
    parsed = Parsed(hostile.html)
    genres = parsed.by_id("genres").text
    for genre in plausible.HOSTILE:
        assert printable_cell(genre) in genres
    first = plausible.HOSTILE_REJECTS[0]
    assert printable_cell(first["track_id"]) in parsed.by_id("rejects").text
    assert printable(plausible.HOSTILE_SUFFIX) in parsed.by_id("errors").text
    assert printable(plausible.HOSTILE_SUFFIX) in parsed.by_id("gallery").text
    assert printable(plausible.HOSTILE_SUFFIX) in parsed.by_id("card").text


def test_nothing_on_the_page_is_a_control_character_or_turns_text_round(hostile: Rendered) -> None:
    assert not [c for c in set(hostile.html) if c != "\n" and not c.isprintable()]


def test_no_cell_is_a_formula_when_a_table_is_pasted_into_a_spreadsheet(
    hostile: Rendered,
) -> None:
    cells = [cell.text.strip() for cell in Parsed(hostile.html).all("td", "th")]
    assert len(cells) > 500
    assert [cell for cell in cells if cell[:1] in "=+-@" and cell] == []


def test_the_page_needs_and_may_load_nothing(hostile: Rendered) -> None:
    parsed = Parsed(hostile.html)
    (policy,) = [
        meta.attributes["content"]
        for meta in parsed.all("meta")
        if meta.attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    (style,) = parsed.all("style")
    digest = base64.b64encode(hashlib.sha256(style.text.encode()).digest()).decode()
    assert rules["style-src"] == f"'sha256-{digest}'"
    assert "url(" not in style.text
    assert "@import" not in style.text


def test_sixteen_models_and_ten_genres_stay_below_eight_megabytes(hostile: Rendered) -> None:
    assert len({name for name in hostile.plots if name.startswith("confusion_")}) == 16
    assert 1e6 < len(hostile.html.encode()) < 8e6


def test_every_plot_is_also_on_the_page_with_words_for_it(hostile: Rendered) -> None:
    images = Parsed(hostile.html).all("img")
    shown = {base64.b64decode((img.attributes["src"] or "").partition(",")[2]) for img in images}
    assert shown == set(hostile.plots.values())
    for img in images:
        assert len(img.attributes["alt"] or "") > 10
        pixels = image.imread(
            io.BytesIO(base64.b64decode((img.attributes["src"] or "").partition(",")[2]))
        )
        # Two pixels of the file to one of the page.
        assert int(img.attributes["height"] or 0) == pixels.shape[0] // 2
        assert int(img.attributes["width"] or 0) == pixels.shape[1] // 2


def test_headings_are_in_order_and_every_link_of_the_contents_leads_somewhere(
    hostile: Rendered,
) -> None:
    parsed = Parsed(hostile.html)
    levels = [int(found.tag[1]) for found in parsed.all("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    ids = [e.attributes["id"] for e in parsed.elements if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    links = [a.attributes["href"] or "" for a in parsed.all("a")]
    assert len(links) >= 13
    assert {link.removeprefix("#") for link in links} <= set(ids)
    sections = [s.attributes["id"] for s in parsed.all("section")]
    assert set(sections) == {link.removeprefix("#") for link in links}


def test_tables_have_captions_and_headers_and_scroll_in_a_box_of_their_own(
    hostile: Rendered,
) -> None:
    parsed = Parsed(hostile.html)
    assert len(parsed.all("table")) == len(parsed.all("caption")) > 20
    for header in parsed.all("th"):
        assert header.attributes.get("scope") in ("col", "row")
    boxes = [e for e in parsed.all("div") if e.attributes.get("class") == "scroll"]
    assert len(boxes) == len(parsed.all("table"))
    for box in boxes:  # reached and read by keyboard
        assert box.attributes["tabindex"] == "0"
        assert box.attributes["aria-label"]


def test_the_decision_comes_first_with_every_rule_in_words(hostile: Rendered) -> None:
    parsed = Parsed(hostile.html)
    assert parsed.all("section")[0].attributes["id"] == "decision"
    text = " ".join(parsed.by_id("decision").text.split())
    assert "Not blessed: crnn is not pushed" in text
    assert "✗ failed Beats the best baseline beats_baseline svm is right on" in text
    assert "Measured: +6.2 points, 95% interval +1.2 points to +11.3 points" in text
    assert "\u2013 switched off Holds against the average of all models holds_ensemble" in text
    assert "✓ passed Reaches the floor, and is better than guessing absolute_floor 72.5% of" in text
    assert "Measured: 72.5%, 95% interval 61.0% to 82.0%" in text
    decision = json.loads(
        pathlib.Path(hostile.made.folder("blessing"), "decision.json").read_text()
    )
    for rule in decision["rules"]:
        assert " ".join(printable(rule["text"]).split()) in text


def test_the_accuracy_table_holds_the_numbers_of_the_predictions_and_the_studys(
    small: plausible.Artifacts, small_report: Rendered
) -> None:
    rows = pd.read_parquet(pathlib.Path(small.folder("predictions"), "predictions.parquet"))
    section = " ".join(Parsed(small_report.html).by_id("models").text.split())
    for model in ("crnn", "svm"):
        own = rows[(rows["model"] == model) & (rows["split"] == "test")]
        measured = metrics.evaluate(own, small.genres)
        for found in (measured.track_accuracy, measured.clip_accuracy, measured.macro_f1):
            ends = f"({100 * found.low:.1f}\u2013{100 * found.high:.1f})"
            assert f"{found.value:.1%} {ends}" in section
    assert "Test clips in the study" in section
    assert f"{study.ACCURACY['svm']:.1%}" in section
    # The study's models that this run lacks.
    assert "vgg16 55.9%" in section


def test_a_network_that_starts_from_trained_weights_is_marked_and_its_numbers_explained(
    hostile: Rendered, small_report: Rendered
) -> None:
    section = " ".join(Parsed(hostile.html).by_id("models").text.split())
    assert section.count("pre-trained") == 1
    assert "starts from weights that were trained on other data" in section
    assert "of unknown origin" in section
    assert "pre-trained" not in small_report.html


def test_warnings_stand_before_the_numbers(small: plausible.Artifacts) -> None:
    synthetic = {"dataset": {"kind": "synthetic"}, "split": {"policy": "official"}}
    html = plausible.render(small, data=synthetic).html
    assert html.index("The data is synthetic") < html.index("The rules of the gate")
    # And once more for those who come by a link to the table alone.
    assert "The data is synthetic" in Parsed(html).by_id("models").text
    assert "There are only 6 test tracks" in html
    assert "The split leaks" not in html


def test_a_leaky_split_is_said_at_the_top_and_on_the_card(hostile: Rendered) -> None:
    parsed = Parsed(hostile.html)
    assert "The split leaks" in parsed.by_id("decision").text
    assert "all numbers here are too good" in parsed.by_id("card").text


def test_what_a_run_does_not_have_is_left_out_cleanly(bare_report: Rendered) -> None:
    parsed = Parsed(bare_report.html)
    ids = {e.attributes.get("id") for e in parsed.elements}
    assert "pca" not in ids
    assert not {"#pca"} & {a.attributes["href"] for a in parsed.all("a")}
    assert "pca.png" not in bare_report.plots
    assert "best baseline" not in parsed.by_id("models").text
    assert "Members of the averages" not in bare_report.html
    assert "None: all tracks in the metadata were used." in bare_report.html
    assert "All other models" not in bare_report.html
    assert parsed.wrong == []


def test_the_page_says_what_models_are_judged_by(
    bare_report: Rendered, small_report: Rendered
) -> None:
    clips = "each with up to 2 clips of 1 seconds"
    assert f"{clips}." in Parsed(small_report.html).by_id("data").text
    windows = "and with up to 300 consecutive windows in validation and test"
    assert f"{clips}, {windows}" in Parsed(bare_report.html).by_id("data").text


def test_a_run_without_networks_histories_has_no_learning_curves(
    tmp_path: pathlib.Path,
) -> None:
    made = plausible.write(
        tmp_path,
        genres=("Folk", "Rock"),
        networks=(),
        baselines=("svm",),
        ensembles=(),
        candidate="svm",
        tracks={"train": 1, "validation": 1, "test": 1},
    )
    report = plausible.render(made)
    assert "Learning curves" not in report.html
    assert not [name for name in report.plots if name.startswith("curves")]


def test_the_same_run_gives_the_same_bytes(
    small: plausible.Artifacts, small_report: Rendered
) -> None:
    again = plausible.render(small)
    assert again.html == small_report.html
    assert again.plots == small_report.plots


def test_names_that_plots_cannot_show_are_explained(hostile: Rendered) -> None:
    text = " ".join(Parsed(hostile.html).by_id("confusion").text.split())
    assert "In plots, no. 8 stands for 日本の音楽." in text  # and no other does


def test_what_only_the_runner_knows_is_filled_in_once_or_again(small_report: Rendered) -> None:
    before = Parsed(small_report.html)
    assert "results.json" in before.by_id("timings").text
    first = page_lib.with_run(small_report.html, nodes=NODES, pushed_version="1700000001")
    parsed = Parsed(first)
    assert parsed.wrong == []
    timings = " ".join(parsed.by_id("timings").text.split())
    assert "SpectrogramGendone1 min 33 s" in timings
    assert "Trainer.<b>crnn</b>cached0.2 s" in timings
    assert "All1 min 33 s" in timings
    assert "Pushed as version 1700000001." in parsed.by_id("decision").text
    again = page_lib.with_run(first, nodes=NODES, pushed_version=None)
    assert "Nothing was pushed." in again
    assert "1700000001" not in again
    assert again == page_lib.with_run(small_report.html, nodes=NODES, pushed_version=None)


def test_a_push_that_was_refused_is_told_with_its_reason(small_report: Rendered) -> None:
    filled = page_lib.with_run(
        small_report.html, nodes=NODES, pushed_version=None, push_refused="<i>rolled back</i>"
    )
    parsed = Parsed(filled)
    assert parsed.wrong == []
    assert "✗ Not pushed: <i>rolled back</i>." in " ".join(parsed.by_id("decision").text.split())
    assert "Nothing was pushed" not in filled


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        ("passed", "✓ Passed ServingCheck on a server (genreflow): <i>words</i>."),
        ("failed", "✗ Refused by ServingCheck: <i>words</i>."),
        ("off", "ServingCheck is <i>words</i>."),
        ("skipped", ""),
    ],
)
def test_how_the_candidate_did_on_a_server_is_told_beside_what_was_pushed(
    small_report: Rendered, outcome: str, words: str
) -> None:
    served = ServingCheckResult.of(outcome, "<i>words</i>", "genreflow")  # type: ignore[arg-type]
    filled = page_lib.with_run(
        small_report.html, nodes=NODES, pushed_version=None, serving_check=served
    )
    parsed = Parsed(filled)
    assert parsed.wrong == []
    text = " ".join(parsed.by_id("decision").text.split())
    assert words in text
    assert ("ServingCheck" in text) == bool(words)
    assert "Nothing was pushed." in text


def test_a_page_that_is_no_report_is_not_filled_in() -> None:
    with pytest.raises(ValueError, match="not a report"):
        page_lib.with_run("<p>", nodes={}, pushed_version=None)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "\u2013"), (0.0, "0.0 s"), (9.94, "9.9 s"), (59.4, "59 s"), (59.6, "1 min 00 s"),
        (3599.0, "59 min 59 s"), (3599.7, "1 h 00 min"), (7384.0, "2 h 03 min"),
    ],
)  # fmt: skip
def test_durations_are_said_as_people_say_them(seconds: float | None, words: str) -> None:
    assert page_lib.duration(seconds) == words


@pytest.mark.parametrize(
    ("share", "words"), [(None, "\u2013"), (0.0, "0.0%"), (0.61251, "61.3%"), (1.0, "100.0%")]
)
def test_shares_are_percent(share: float | None, words: str) -> None:
    assert page_lib.percent(share) == words


@pytest.mark.parametrize(("difference", "words"), [(0.021, "+2.1 points"), (-0.2, "-20.0 points")])
def test_differences_are_points_with_a_sign(difference: float, words: str) -> None:
    assert page_lib.points(difference) == words


def test_predictions_of_another_run_are_refused(
    small: plausible.Artifacts, tmp_path: pathlib.Path
) -> None:
    other = plausible.write(
        tmp_path / "other",
        genres=("Folk", "Jazz"),
        networks=("crnn",),
        baselines=(),
        ensembles=(),
        tracks={"train": 1, "validation": 1, "test": 1},
    )
    mixed = dataclasses.replace(other, genres=small.genres)
    with pytest.raises(DataError, match="another run"):
        plausible.read(mixed)


@pytest.mark.parametrize(
    ("column", "words"),
    [("../../etc/x", "not a valid name of a model"), ("svm2", "does not list the model svm2")],
)
def test_a_model_of_another_name_than_the_selection_has_is_refused(
    small: plausible.Artifacts, tmp_path: pathlib.Path, column: str, words: str
) -> None:
    shutil.copytree(small.root, tmp_path / "copy")
    made = dataclasses.replace(small, root=tmp_path / "copy")
    path = pathlib.Path(made.folder("predictions"), "predictions.parquet")
    rows = pd.read_parquet(path)
    rows.assign(model=rows["model"].replace("svm", column)).to_parquet(path)
    with pytest.raises(DataError, match=words):
        plausible.read(made)


def test_the_digest_of_the_templates_sees_every_file(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "a.html").write_text("a")
    (templates / "style.css").write_text("b")
    monkeypatch.setattr(page_lib.importlib.resources, "files", lambda name: tmp_path)
    digests = [page_lib.templates_digest()]
    (templates / "style.css").write_text("c")
    digests.append(page_lib.templates_digest())
    (templates / "style.css").rename(templates / "other.css")
    digests.append(page_lib.templates_digest())
    assert len(set(digests)) == 3
    assert all(re.fullmatch("[0-9a-f]{16}", digest) for digest in digests)
