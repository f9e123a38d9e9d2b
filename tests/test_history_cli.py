import json
import os

import pytest

from medbench.cli import main
from medbench.history import write
from tests.nights import ITEM, entry, session, write_nights

QUIET, MARKED = "chest/calibration/id", "mammography/scale-data/vendor-b"


@pytest.fixture
def folder(tmp_path):
    """Three nights of three items; one of them jumps in the last."""
    for number in range(3):
        write(
            tmp_path / "h",
            session(number),
            [
                entry(QUIET, verdict="refuted"),
                entry(ITEM, treatment=0.83 + number / 10_000),
                entry(MARKED, treatment=0.83 if number < 2 else 0.80),
            ],
        )
    return tmp_path / "h"


def said(capsys, folder, *arguments, status=0):
    assert main(["history", *arguments, "--history", str(folder)]) == status
    captured = capsys.readouterr()
    return captured.out if status == 0 else captured.err


def names(text):
    return [line.split()[0] for line in text.splitlines()[1:]]


# The list


def test_the_list_has_one_line_an_item_those_with_a_mark_first(folder, capsys):
    text = said(capsys, folder)
    assert text.splitlines()[0] == "3 nights, 3 items"
    assert names(text) == [MARKED, QUIET, ITEM]
    marked, quiet, slow = text.splitlines()[1:]
    assert marked.split(None, 5) == [
        MARKED,
        "2026-11-03",
        "██▁",
        "0.8000",
        "supported",
        "treatment jumped by -0.0300 (worse) in the night of 2026-11-03, commit c002",
    ]
    assert quiet.split() == [QUIET, "2026-11-03", "▁▁▁", "0.8300", "refuted"]
    assert slow.split() == [ITEM, "2026-11-03", "▁▄█", "0.8302", "supported"]


def test_the_list_draws_the_latest_nights(tmp_path, capsys):
    write_nights(tmp_path, [0.1] * 10 + [0.83] * 23 + [0.8301])
    line = said(capsys, tmp_path).splitlines()[1]
    assert "  " + "▁" * 23 + "█  " in line, "the low nights are too long ago to be seen"


def test_an_item_without_a_value_is_listed_with_its_state(tmp_path, capsys):
    write(
        tmp_path,
        session(),
        [entry(state="missing", verdict=None, effect=None, means={}, values={}, status=None)],
    )
    assert said(capsys, tmp_path).splitlines()[1].split() == [ITEM, "2026-11-01", "–", "missing"]
    assert "no mark" in said(capsys, tmp_path, ITEM)


@pytest.mark.parametrize("given", ["chest", "chest/"])
def test_a_domain_lists_its_items_alone(folder, capsys, given):
    text = said(capsys, folder, given)
    assert text.splitlines()[0] == "3 nights, 2 items"
    assert names(text) == [QUIET, ITEM]


def test_a_claim_lists_its_items_and_the_beginning_of_a_word_names_none(folder, capsys):
    assert names(said(capsys, folder, "mammography/scale-data")) == [MARKED]
    assert "has no item `che`" in said(capsys, folder, "che", status=2)


def test_an_item_that_was_followed_on_two_devices_is_listed_by_the_later(tmp_path, capsys):
    write(tmp_path, session(0), [entry(treatment=0.9)])
    write(tmp_path, session(1), [entry(treatment=0.7, devices=["gpu-a100"])])
    text = said(capsys, tmp_path)
    assert (text.splitlines()[0], "0.7000" in text, "0.9000" in text) == ("2 nights, 1 item", True, False)


# One item


def test_an_item_is_drawn_with_its_band_one_line_a_night(tmp_path, capsys):
    for number, (value, changes) in enumerate(
        [
            (0.8305, {"accepted": True}),
            (0.83, {"status": "drifted", "red": True}),
            (0.81, {"status": "drifted", "red": True, "verdict": "inconclusive"}),
        ]
    ):
        write(
            tmp_path,
            session(number),
            [entry(treatment=value, bands={"treatment": (0.83, 0.002)}, **changes)],
        )
    heading, *nights, count, mark = said(capsys, tmp_path, ITEM).splitlines()
    assert heading == f"{ITEM} · treatment (roc_auc@1) · cpu · seed 1 · accepted 0.8300 ± 0.0020"
    assert [line.split()[:4] for line in nights] == [
        ["2026-11-01", "02:00", "c000", "0.8305"],
        ["2026-11-02", "02:00", "c001", "0.8300"],
        ["2026-11-03", "02:00", "c002", "0.8100"],
    ]
    drawn = [line.split()[4] for line in nights]
    assert {len(each) for each in drawn} == {33}
    assert [each.index("●") for each in drawn] == [30, 29, 0], "0.81 to 0.832 over 33 columns"
    assert [(each.find("["), each.find("]")) for each in drawn] == [(26, 32)] * 3
    assert [line.split(None, 5)[5] for line in nights[:2]] == [
        "supported     ok · accepted",
        "supported     drifted · RED",
    ]
    jumped = "treatment jumped by -0.0200 (worse) in the night of 2026-11-03, commit c002"
    assert nights[2].endswith(f"inconclusive  drifted · RED · {jumped}")
    assert (count, mark) == ("1 mark", f"  {jumped}")


def test_an_arm_is_drawn_that_is_asked_for_else_the_one_that_is_marked(tmp_path, capsys):
    for number, baseline in enumerate((0.81, 0.71)):
        write(tmp_path, session(number), [entry(baseline=baseline)])
    assert f"{ITEM} · baseline (" in said(capsys, tmp_path, ITEM)
    chosen = said(capsys, tmp_path, ITEM, "--arm", "treatment")
    assert f"{ITEM} · treatment (" in chosen
    assert "0.8300" in chosen
    assert "baseline jumped" in chosen, "what is marked is told, whatever arm is drawn"


def test_nights_on_two_devices_are_drawn_apart_and_each_with_its_own_marks(tmp_path, capsys):
    gpu = {"devices": ["gpu-a100"]}
    for number, (value, changes) in enumerate([(0.83, {}), (0.83, gpu), (0.83, {}), (0.80, gpu)]):
        write(tmp_path, session(number), [entry(treatment=value, **changes)])
    first, second = said(capsys, tmp_path, ITEM).split("\n\n")
    assert "· cpu ·" in first
    assert "no marks" in first
    assert "· gpu-a100 ·" in second
    assert "1 mark\n" in second


def test_the_latest_nights_are_shown_where_a_number_is_given_and_marks_of_all(folder, capsys):
    write(folder, session(3), [entry(MARKED, treatment=0.80)])
    _, earlier, night, count, mark = said(capsys, folder, MARKED, "--last", "1").splitlines()
    assert earlier == "(3 earlier nights)"
    assert night.startswith("2026-11-04")
    assert (count, "2026-11-03" in mark) == ("1 mark", True)
    assert "earlier" not in said(capsys, folder, MARKED, "--last", "4")
    shown = json.loads(said(capsys, folder, "--last", "1", "--format", "json"))
    assert {len(each["nights"]) for each in shown} == {1}


@pytest.mark.parametrize("number", ["0", "-1", "two", "²"])
def test_what_is_no_number_of_nights_is_refused(folder, capsys, number):
    with pytest.raises(SystemExit) as ended:
        main(["history", f"--last={number}", "--history", str(folder)])
    assert ended.value.code == 2
    assert "is no number of nights" in capsys.readouterr().err


def test_json_has_an_item_night_by_night(tmp_path, capsys):
    write(tmp_path, session(0), [entry(bands={"treatment": (0.83, 0.002)}, status="ok")])
    write(tmp_path, session(1), [entry(values={}, status=None)])
    write(tmp_path, session(2), [entry(treatment=0.8, status="drifted", red=True, seeds=(1, 2))])
    (drawing,) = json.loads(said(capsys, tmp_path, ITEM, "--format", "json"))
    assert {
        name: drawing[name] for name in ("item", "term", "metric", "device_class", "values_are", "band")
    } == {
        "item": ITEM,
        "term": "treatment",
        "metric": "roc_auc@1",
        "device_class": "cpu",
        "values_are": "seed 1",
        "band": [0.83, 0.002],
    }
    assert [night["value"] for night in drawing["nights"]] == [0.83, None, 0.8]
    assert [night["measured"] for night in drawing["nights"]] == [1, 0, 2]
    assert [(night["status"], night["red"]) for night in drawing["nights"]] == [
        ("ok", False),
        ("", False),
        ("drifted", True),
    ]
    assert drawing["nights"][2]["marks"] == [
        "treatment jumped by -0.0300 (worse) in the night of 2026-11-03, commit c002"
    ]
    assert [mark["night"] for mark in drawing["marks"]] == [session(2).created]


def test_json_of_the_list_has_all_items_in_its_order(folder, capsys):
    shown = json.loads(said(capsys, folder, "--format", "json"))
    assert [each["item"] for each in shown] == [MARKED, QUIET, ITEM]


# Mistakes


def test_a_misspelt_item_gets_the_nearest_ones(folder, capsys):
    told = said(capsys, folder, "chest/scale-date/id", "--arm", "baseline", status=2)
    assert "the history has no item `chest/scale-date/id`. Did you mean `chest/scale-data/id`" in told


def test_an_item_like_no_other_gets_those_that_there_are(folder, capsys):
    told = said(capsys, folder, "x\x1b[2J", status=2)
    assert "has no item `x\\x1b[2J`. It has: " in told
    assert MARKED in told
    assert "`medbench history` lists all" in told


def test_an_arm_that_is_not_there_gets_the_nearest(folder, capsys):
    told = said(capsys, folder, ITEM, "--arm", "basline", status=2)
    assert f"{ITEM}: no arm `basline`. Did you mean `baseline`?" in told


@pytest.mark.parametrize("given", [[], ["chest"]])
def test_an_arm_of_several_items_is_a_mistake(folder, capsys, given):
    assert "--arm is of one item" in said(capsys, folder, *given, "--arm", "baseline", status=2)


def test_where_there_is_no_history_it_is_told_how_one_begins(tmp_path, capsys):
    told = said(capsys, tmp_path / "nowhere", status=2)
    assert "no history here. Name its folder by --history: nights keep theirs in nights/history" in told


def test_another_tier_than_there_is_gets_those_that_there_are(folder, capsys):
    told = said(capsys, folder, "--tier", "public", status=2)
    assert "nothing of tier `public`; there is embedded. Choose by --tier." in told


def test_a_damaged_file_is_a_warning_beside_the_list(folder, capsys):
    next(folder.glob("*/*/20261103*.jsonl")).write_text("")
    assert main(["history", "--history", str(folder)]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("2 nights, 3 items")
    assert captured.err.startswith("warning: ")
    assert "damaged" in captured.err


def test_what_a_terminal_obeys_is_shown_and_not_sent(tmp_path, capsys):
    write(tmp_path, session(commit="c\x1b[2J"), [entry("chest/\x1b[31m/id")])
    assert "\x1b" not in said(capsys, tmp_path) + said(capsys, tmp_path, "chest/\x1b[31m/id")


def test_where_no_folder_is_named_that_of_nights_is_found(tmp_path, monkeypatch, capsys):
    write_nights(tmp_path / "nights/history", [0.83, 0.84])
    monkeypatch.chdir(tmp_path)
    assert main(["history", ITEM]) == 0
    assert "0.8400" in capsys.readouterr().out


def test_a_night_is_drawn_in_the_band_that_it_was_held_to(tmp_path, capsys):
    for number, mean in enumerate((0.83, 0.87)):
        write(tmp_path / "h", session(number), [entry(treatment=mean, bands={"treatment": (mean, 0.001)})])
    main(["history", ITEM, "--history", str(tmp_path / "h")])
    first, second = (line for line in capsys.readouterr().out.splitlines() if "●" in line)
    assert first.index("[") <= first.index("●") < first.index("●") + 20 < second.index("●")
    assert first.split("]")[0].count("·") < 10
    assert second.index("[") > first.index("●") + 20


def test_a_revision_is_as_short_as_git_shows_it(tmp_path, capsys):
    write(tmp_path / "h", session(commit="0123456789abcdef+"), [entry()])
    main(["history", ITEM, "--history", str(tmp_path / "h")])
    assert "  01234567+  " in capsys.readouterr().out


def test_a_pipe_in_the_folder_is_told_and_not_waited_for(tmp_path, capsys):
    write_nights(tmp_path / "h", [0.83])
    (file,) = (tmp_path / "h").rglob("*.jsonl")
    os.mkfifo(file.with_name(file.name.replace("20261101", "20261102")))
    assert main(["history", "--history", str(tmp_path / "h")]) == 0
    assert "expected a file of a history; left out" in capsys.readouterr().err
