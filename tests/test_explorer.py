"""The explorer's Python half answers what its page asks; its page's arithmetic agrees with Python's."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import ipywidgets
import numpy as np
import pandas as pd
import pytest

from lusnb import confidence
from lusnb.cohort import arrays
from lusnb.cohort import cohort as cohorts
from lusnb.segment import predictions
from lusnb.study import places
from lusnb.widgets import advice, arm_maps, explorer, explorer_data, patients
from tests.predicted import scaled
from tests.test_arm_maps import checked, finished

WIDGETS = Path(explorer.__file__).parent


@pytest.fixture
def runs(tmp_path):
    return tmp_path / "runs" / "smoke" / "phantom_tests"


@pytest.fixture
def widget(cohort, runs):
    finished(runs, cohort, made_from=checked(runs, cohort))
    return explorer.Explorer(cohort, runs, "smoke")


def fetched(widget, what):
    """An array as a page fetches it: piece after piece."""
    data, got = b"", None
    while got is None or len(data) < got["total"]:
        got, buffers = widget.answer({"type": "bytes", "what": what, "start": len(data)})
        assert got["start"] == len(data) and 0 < len(buffers[0]) <= explorer.PIECE
        data += bytes(buffers[0])
    return np.frombuffer(data, np.uint8).reshape(got["shape"])


def many(phantom, folder, count):
    """A cohort of `count` clips of 42 patients, each the file of one of the phantom's clips, linked."""
    tables = {name: pd.read_csv(phantom / f"{name}.csv", dtype=str) for name in ("clips", "labels")}
    for name in ("clips", "labels"):
        (folder / name).mkdir(parents=True)
    shutil.copy(phantom / "cohort.yaml", folder)
    new = {"clips": [], "labels": []}
    for k in range(count):
        old = tables["clips"].iloc[k % len(tables["clips"])]
        own = {"clip_id": f"C{k:03}", "patient_id": f"P{k % 42:02}", "path": f"clips/{k}.npy"}
        new["clips"].append({**old, **own})
        os.link(phantom / old["path"], folder / own["path"])
        for label in tables["labels"][tables["labels"]["clip_id"] == old["clip_id"]].itertuples(index=False):
            path = f"labels/{k}_{label.feature}.png"
            new["labels"].append(label._asdict() | {"clip_id": own["clip_id"], "path": path})
            os.link(phantom / label.path, folder / path)
    new["patients"] = [{"patient_id": f"P{k:02}", "readmitted_30d": k % 2} for k in range(min(count, 42))]
    for name, rows in new.items():
        pd.DataFrame(rows).to_csv(folder / f"{name}.csv", index=False)
    return folder


# -- what Python answers


def test_all_that_is_not_pixels_comes_at_once(widget, cohort):
    found, buffers = widget.answer({"type": "ready"})
    assert buffers == [] and found["advice"] == "" and found["note"] == ""
    assert found["arms"] == [{"key": "t060 seed 0", "arm": "t060", "seed": 0}]
    assert found["catalogue"] == explorer_data.catalogue(cohort) and "t060" in found["colours"]
    assert len(json.dumps(found, allow_nan=False)) < 10 * 2**20


def test_pixels_come_in_pieces_and_whole(widget, cohort, monkeypatch):
    monkeypatch.setattr(explorer, "PIECE", 1000)
    clip = cohort.clips["clip_id"][0]
    whole = fetched(widget, {"kind": "clip", "clip_id": clip})
    np.testing.assert_array_equal(whole, arrays.clip(cohort, clip))
    row = cohort.labels.iloc[0]
    what = {"kind": "labels", "clip_id": row["clip_id"], "frame": int(row["frame"])}
    what |= {"source": f"rater:{row['rater']}"}
    np.testing.assert_array_equal(fetched(widget, what), explorer_data.pixels(cohort, None, what))
    what |= {"kind": "prediction", "arm": "t060", "seed": 0}
    found = arm_maps.open_runs(widget.runs_folder, cohort).maps("t060", 0, what["clip_id"], what["frame"])
    np.testing.assert_array_equal(fetched(widget, what), found[0])


def test_a_message_stays_under_ten_megabytes():
    assert explorer.PIECE <= 10 * 10**6


def test_each_question_is_answered_under_its_own_name_and_a_wrong_one_says_what_is_wrong(widget):
    sent = []
    widget.send = lambda content, buffers=None: sent.append(content)
    widget._hear(widget, {"type": "clip", "clip_id": "no_clip", "id": "a:1"}, [])
    widget._hear(widget, {"type": "dance", "id": "b:1"}, [])
    widget._hear(widget, {"type": "clip", "clip_id": widget.clip_id, "id": "a:2"}, [])
    told = (
        "Not found: 'no_clip'. Did files change? Then choose Run All Cells in the menu Run; in the app, load "
        "the page again."
    )
    assert sent[0] == {"error": told, "id": "a:1"}
    assert sent[1]["error"] == "type: expected ready, clip, arm or bytes, got 'dance'"
    assert sent[2]["id"] == "a:2" and sent[2]["card"]["clip_id"] == widget.clip_id


def everything(cohort, runs, profile):
    """What both pages show before anything is chosen."""
    first = explorer.Explorer(cohort, runs, profile)
    return first.answer({"type": "ready"})[0], patients.Outcomes(cohort, runs, profile).everything()


def test_one_file_that_is_missing_stops_neither_page(cohort, runs):
    finished(runs, cohort, "odd", made_from=checked(runs, cohort))
    (runs / "03_train_segmentation/odd/seed0/fold0/predictions/index.csv").unlink()
    for name in ("02_confidence_maps", "04_compare_segmentation", "06_sf_ratio/odd/seed0"):
        (runs / name).mkdir(parents=True)
        (runs / name / "finished").touch()
    first, second = everything(cohort, runs, "smoke")
    assert first["arms"] == [] and first["advice"] == "" and "odd seed 0" in first["note"]
    assert set(first["curves"]["missing"]) == {"kept", "iou", "calibration"}
    assert second["tasks"] == {} and second["advice"].startswith("Left out: ") and second["note"] == ""


def test_cross_fitted_the_published_split_is_not_told(cohort, runs):
    for fold in (1, 2):
        roles = dict.fromkeys(cohort.patients["patient_id"], "test")
        finished(runs, cohort, fold=fold, roles=roles, made_from=checked(runs, cohort))
    first, _ = everything(cohort, runs, "smoke")
    assert first["split"] is False
    assert patients.Outcomes(cohort, runs, "smoke", cross_fitted=True).everything()["split"] is False
    finished(runs, cohort, fold=0, made_from=checked(runs, cohort))
    first, second = everything(cohort, runs, "smoke")
    assert first["split"] is True and second["split"] is True


def test_a_patients_clip_opens_on_the_first_page(phantom, tmp_path, monkeypatch):
    monkeypatch.setattr(places, "root", lambda: tmp_path)
    p = {"profile": "smoke", "cohort": "x", "cohort_folder": str(phantom), "runs_folder": ""}
    pages = explorer.show(p)
    first, second = pages.children
    pages.selected_index = 1
    clip = second.cohort.clips.iloc[-1]
    second._hear(second, {"type": "open", "clip_id": clip["clip_id"]}, [])
    assert pages.selected_index == 0
    assert (first.clip_id, first.patient, first.frame) == (clip["clip_id"], clip["patient_id"], -1)
    second._hear(second, {"type": "open", "clip_id": "no_clip"}, [])  # nothing to open, nothing breaks
    assert first.clip_id == clip["clip_id"]


# -- where things are, and what to do where there is nothing


@pytest.fixture
def project(tmp_path, phantom, monkeypatch):
    """A project: a profile `smoke` of one cohort, phantom_smoke, which is there; without tasks: `plain`."""
    base = tmp_path / "project"
    for profile, tasks in (("smoke", "[sf_ratio]"), ("plain", "[]")):
        shutil.copytree(Path(__file__).parents[1] / "params" / "smoke", base / "params" / profile)
        path = base / "params" / profile / "study.yaml"
        path.write_text(re.sub(r"^tasks: .*$", f"tasks: {tasks}", path.read_text(), flags=re.M))
    (base / "notebooks").mkdir()
    shutil.copytree(phantom, base / "data" / "phantom_smoke")
    monkeypatch.setattr(places, "root", lambda: base)
    return base


def asked(**values):
    return {"profile": "smoke", "cohort": "phantom_smoke", "cohort_folder": "", "runs_folder": ""} | values


def test_blank_folders_are_the_projects_and_relative_ones_below_it(project, monkeypatch):
    data, runs = project / "data/mine", project / "runs/quick/mine"
    assert advice.places(asked(profile="quick", cohort="mine")) == (data, runs)
    given = asked(cohort_folder="elsewhere/a", runs_folder="/abs/olute")
    assert advice.places(given) == (project / "elsewhere/a", Path("/abs/olute"))
    monkeypatch.setenv("HOME", "/home/me")
    given = asked(cohort_folder="~/mine", runs_folder="~/runs")
    assert advice.places(given) == (Path("/home/me/mine"), Path("/home/me/runs"))


def test_without_a_cohort_there_is_one_sentence_that_is_true(project):
    shutil.rmtree(project / "data")
    told = explorer.show(asked())
    assert isinstance(told, ipywidgets.Label)
    here = f"There is no cohort in {project / 'data'}"
    assert told.value == f"{here}/phantom_smoke yet; make one with: make study PROFILE=smoke"
    assert explorer.show(asked(cohort="mine")).value == (
        f"{here}/mine, and profile smoke does not have the cohort mine, only phantom_smoke: "
        "correct cohort or profile."
    )
    told = explorer.show(asked(profile="smok")).value
    assert told.startswith(f"{here}/phantom_smoke, and profile 'smok' cannot be read: ")
    assert told.endswith("no such file; profiles are plain, smoke.")
    given = asked(cohort_folder="data/nothing")
    assert explorer.show(given).value == (
        f"There is no cohort.yaml in {project / 'data/nothing'}: correct cohort_folder."
    )


def test_without_runs_the_page_says_what_to_run(project):
    cohort = cohorts.read(project / "data/phantom_smoke", look=False)
    runs = project / "runs/smoke/phantom_smoke"
    first, second = everything(cohort, runs, "smoke")
    assert first["arms"] == [] and first["advice"] == "No segmenter is finished: make study PROFILE=smoke"
    assert second["tasks"] == {} and second["advice"] == "No task is finished: make study PROFILE=smoke"
    told = "02_confidence_maps is not finished: make study PROFILE=smoke"
    assert first["curves"]["missing"]["kept"] == told
    assert len(second["patients"]) == len(cohort.patients) and not runs.exists()


def test_a_study_without_tasks_is_not_told_to_make_them(project):
    cohort = cohorts.read(project / "data/phantom_smoke", look=False)
    _, second = everything(cohort, project / "runs/plain/phantom_smoke", "plain")
    told = "This study has no tasks: the list `tasks` in params/plain/study.yaml is empty."
    assert second["advice"] == told


def test_no_command_is_advised_that_would_not_make_these_runs(project, phantom):
    shutil.copytree(phantom, project / "mine")
    cohort = cohorts.read(project / "mine", look=False)
    told = (
        f"profile smoke does not have the cohort {project / 'mine'}, only phantom_smoke; give a profile that "
        "has it, or put it into data/ and add it to params/smoke/study.yaml."
    )
    first, second = everything(cohort, project / "runs/smoke/mine", "smoke")
    assert first["advice"] == f"No segmenter is finished: {told}"
    assert second["advice"] == f"No task is finished: {told}"
    missing = first["curves"]["missing"]  # charts do not say it all again
    assert missing["iou"] == "04_compare_segmentation is not finished: see above"
    cohort = cohorts.read(project / "data/phantom_smoke", look=False)
    first, _ = everything(cohort, project / "elsewhere", "smoke")
    assert first["advice"] == (
        "No segmenter is finished: make study PROFILE=smoke writes to runs/smoke/phantom_smoke, not to "
        f"{project / 'elsewhere'}; correct runs_folder."
    )
    first, second = everything(cohort, project / "elsewhere", "smok")
    for page, what in ((first, "segmenter"), (second, "task")):
        assert page["advice"].startswith(f"No {what} is finished: profile 'smok' cannot be read: ")


def test_the_widgets_import_no_torch():
    heavy = "{'torch', 'lightning', 'monai', 'captum'}"
    code = f"import sys; from lusnb.widgets import explorer; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


OPENING = """
import re, sys, time
start = time.time()
from lusnb.widgets import explorer
imported = time.time()
folders = {"cohort_folder": sys.argv[1], "runs_folder": sys.argv[1] + "/none"}
first, second = explorer.show({"profile": "smoke", "cohort": "x", **folders}).children
found, _ = first.answer({"type": "ready"})
card, _ = first.answer({"type": "clip", "clip_id": "C400"})
second.everything()
peak = int(re.search("VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024  # of this process alone
print(len(found["catalogue"]["clips"]), imported - start, time.time() - imported, peak)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc here to read memory from")
def test_466_clips_open_and_it_is_told_how_fast(phantom, tmp_path):
    folder = many(phantom, tmp_path / "many", 466)
    command = [sys.executable, "-c", OPENING, str(folder)]
    told = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1], check=True)
    count, importing, opening, peak = map(float, told.stdout.split())
    print(f"466 clips: imports {importing:.2f} s, opening {opening:.2f} s, peak {peak:.0f} MB")
    assert count == 466


# -- what the page computes


@pytest.fixture
def node(tmp_path):
    """Run JavaScript on the widgets' files; what it prints, read as JSON."""
    if shutil.which("node") is None:
        pytest.skip("no node here: what the page computes is then only tested in the browser")
    for path in WIDGETS.glob("*.js"):
        shutil.copy(path, tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')

    def run(imports: str, expression: str, given: object = None) -> object:
        (tmp_path / "given.json").write_text(json.dumps(given))
        code = f"import {{ readFileSync }} from 'node:fs';\n{imports}\n"
        code += "const given = JSON.parse(readFileSync('given.json'));\n"
        (tmp_path / "asked.js").write_text(f"{code}console.log(JSON.stringify({expression}));\n")
        told = subprocess.run(["node", "asked.js"], cwd=tmp_path, capture_output=True, text=True)
        assert told.returncode == 0, told.stderr
        return json.loads(told.stdout)

    return run


PICTURE = (
    "import { compare, keptShares, leastPredicted, leastLabelled, scaledUp } from './explorer_picture.js';"
)


def test_an_output_threshold_keeps_what_it_says(node):
    found = node(PICTURE, "Array.from({ length: 101 }, (_, t) => leastPredicted(t))")
    assert found[50] == predictions.CUT and found[100] == 255 and found[0] == 1
    for percent in range(1, 101):
        kept = [
            v for v in range(256) if 100 * v >= 255 * percent
        ]  # v / 255 >= percent / 100, in whole numbers
        assert found[percent] == kept[0]


CUT = "import { cutAt } from './explorer_cut.js';"
CARD = {"frames": {"0": "labelled", "4": "task"}, "cut": 76, "task_cut": 128}
OLD = CARD | {"cut": None}
BY_HAND = "; its own validation cut is 30 %"
CUTS = {  # output, card, frame -> least byte, percent, whether the frame was cut already, words
    "own": (-1, CARD, 0, 76, 30, False, "predicted from 30 %, its own validation cut"),
    "half": (50, CARD, 0, 128, 50, False, f"predicted from 50 %{BY_HAND}"),
    "by hand": (42, CARD, 0, 108, 42, False, f"predicted from 42 %{BY_HAND}"),
    "no prediction of this frame": (
        -1,
        CARD,
        1,
        76,
        30,
        False,
        "predicted from 30 %, its own validation cut",
    ),
    "older": (
        *(-1, OLD, 0, 128, 50, False),
        "predicted from 50 %; its own validation cut is not known, as this run is older",
    ),
    "a mask": (-1, CARD, 4, 76, 30, True, "cut at 50 % already"),
    "a mask, its own": (
        42,
        CARD | {"task_cut": 76},
        4,
        108,
        42,
        True,
        "cut at 30 % already, its own validation cut",
    ),
    "an older mask": (-1, OLD, 4, 128, 50, True, "cut at 50 % already"),
    "a task's probabilities": (
        *(-1, CARD | {"task_cut": None}, 4, 76, 30, False),
        "predicted from 30 %, its own validation cut",
    ),
    "nothing of this clip": (
        -1,
        CARD | {"frames": {}, "cut": None},
        0,
        128,
        50,
        False,
        "predicted from 50 %",
    ),
    "not known yet": (42, None, 0, 108, 42, False, "predicted from 42 %"),
}


@pytest.mark.parametrize("case", CUTS.values(), ids=CUTS.keys())
def test_an_arm_is_cut_at_its_own_cut_until_the_reader_chooses(node, case):
    output, card, frame, least, percent, masked, words = case
    found = node(CUT, "cutAt(...given)", [output, card, frame])
    assert found["least"] == least and found["percent"] == percent
    assert found["masked"] is masked and found["words"] == words
    assert found["at"] == pytest.approx(76 / 255 if least == 76 else percent / 100)


def test_every_level_that_a_training_may_name_is_cut_exactly_there(node):
    found = node(
        CUT, "given.map((cut) => cutAt(-1, { frames: { 0: 'labelled' }, cut }, 0))", list(range(1, 256))
    )
    assert [one["least"] for one in found] == list(range(1, 256))
    assert all(abs(one["percent"] - max(1, one["least"] / 2.55)) <= 0.5 for one in found)


def test_a_new_explorer_stands_at_the_arms_own_cuts(widget):
    assert widget.output == -1  # OWN of explorer_cut.js
    assert "export const OWN = -1;" in (WIDGETS / "explorer_cut.js").read_text()
    sent = widget.answer({"type": "arm", "arm": "t060", "seed": 0, "clip_id": widget.clip_id})[0]
    assert sent["card"]["cut"] == 102


def test_no_widget_sends_anybody_back_to_one_cell():
    told = " ".join(path.read_text() for path in [*WIDGETS.glob("*.js"), *WIDGETS.glob("*.py")])
    assert not re.search(r"\b(?:its|this|the) cell again|notebook again", told)
    in_the_page = re.search(r'AGAIN = "(.*)";', (WIDGETS / "controls.js").read_text())[1]
    assert in_the_page == advice.AGAIN


def test_shares_kept_are_those_of_pythons_targets(node):
    rng = np.random.default_rng(0)
    maps = rng.choice([0, 0, 0, 26, 51, 127, 128, 153, 204, 254, 255], (2, 40)).astype(np.uint8)
    found = node(PICTURE, "keptShares(new Uint8Array(given), 40, 40)", maps.ravel().tolist())
    painted = (maps[1] > 0).sum()
    expected = [confidence.targets(maps[1] / 255, t / 100).sum() / painted for t in range(101)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert node(PICTURE, "keptShares(new Uint8Array(8), 0, 8)") is None


@pytest.mark.parametrize("shape, height, width", [((2, 4, 4), 6, 10), ((1, 5, 3), 3, 7), ((3, 8, 8), 3, 2)])
def test_predictions_are_scaled_as_in_python(node, shape, height, width):
    maps = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    expression = f"[...scaledUp(new Uint8Array(given), {list(shape)}, {height}, {width})]"
    found = np.array(node(PICTURE, expression, maps.ravel().tolist())).reshape(shape[0], height, width)
    np.testing.assert_array_equal(found, scaled(maps, height, width))


def test_errors_are_counted_and_marked_feature_by_feature(node):
    rng = np.random.default_rng(2)
    labels, said = rng.integers(0, 256, (2, 2, 60), np.uint8)
    expression = """(() => {
      const codes = new Uint8Array(60), [labels, said] = given.map((one) => new Uint8Array(one));
      const counts = [0, 60].map((from) => compare(labels, said, from, codes, 100, 180));
      return { counts, codes: [...codes] };
    })()"""
    found = node(PICTURE, expression, [labels.ravel().tolist(), said.ravel().tolist()])
    marked, predicted = labels >= 100, said >= 180
    codes = np.zeros(60, int)
    for c in range(2):
        missed, spurious, agreeing = (
            marked[c] & ~predicted[c],
            ~marked[c] & predicted[c],
            marked[c] & predicted[c],
        )
        told = {"missed": missed.sum(), "spurious": spurious.sum(), "agreeing": agreeing.sum()}
        assert found["counts"][c] == told
        codes |= 1 * missed + 2 * spurious + 4 * agreeing
    assert found["codes"] == codes.tolist()


def test_a_curve_is_read_between_its_points_and_not_beyond(node):
    imports = "import { valueAt } from './curves.js';"
    points = [[0.2, 1.0], [0.6, 0.0]]
    found = node(imports, "[0.1, 0.2, 0.3, 0.6, 0.7].map((x) => valueAt(given, x))", points)
    assert found[0] is None and found[4] is None
    assert found[1] == {"y": 1.0, "exact": True} and found[3] == {"y": 0.0, "exact": True}
    assert found[2]["y"] == pytest.approx(0.75) and not found[2]["exact"]


# frames come in pieces of 7 bytes, frames have 4; what is wanted changes on the way
FILM = """(() => {
  const film = new Film({ frames: 5, height: 2, width: 2 });
  const all = Uint8Array.from({ length: 20 }, (_, i) => i + 1);
  const starts = [], told = [];
  film.wanted = 3;
  for (let frame = film.next(); frame >= 0; frame = film.next()) {
    const start = film.from(frame);
    starts.push(start);
    told.push(film.progress(film.wanted));
    film.put(start, all.subarray(start, start + given));
    if (starts.length === 2) film.wanted = 1;
  }
  const whole = [...film.data].every((v, i) => v === all[i]);
  return { starts, told, whole, end: film.progress(0), count: film.count };
})()"""


def test_the_wanted_frame_comes_first_then_those_behind_it(node):
    imports = "import { Film } from './explorer_film.js';"
    found = node(imports, FILM, 7)
    assert found["starts"] == [12, 19, 4, 11, 0]  # frame 3, rest of 4; now 1 is wanted, rest of 2; then 0
    assert found["told"][0] == "frames: 0 of 5; frame 3 is on its way"
    assert found["told"][1] == "frames: 1 of 5"
    assert found["told"][2] == "frames: 2 of 5; frame 1 is on its way"
    assert found["whole"] and found["end"] == "" and found["count"] == 5
    found = node(imports, FILM, 3)  # a frame that is larger than a piece
    assert found["starts"][:3] == [12, 15, 4] and found["whole"] and found["count"] == 5


def test_days_stand_one_by_one_whatever_was_predicted(node):
    imports = "import { byDay, dayList } from './outcomes.js';"
    given = {"sf": {"0": 339.4, "1": 404.2, "2": 293.9}, "rows": [{"day": 0, "truth": 339.4, "value": 293.2}]}
    given["rows"] += [{"day": 2, "truth": 293.9, "value": 262.6}, {"day": 10, "truth": 200, "value": 100}]
    expression = """["truth", "value"].map((name) =>
      dayList(byDay(given.sf, given.rows).map((day) => day[name])))"""
    assert node(imports, expression, given) == ["339, 404, 294, 200", "293, –, 263, 100"]
    assert node(imports, expression, {"sf": {}, "rows": []}) == ["–", "–"]
    assert node(imports, expression, {"sf": {"1": 300}, "rows": []}) == ["300", "–"]


def test_what_is_written_on_a_button_is_in_its_spoken_name(node):
    imports = "import { spoken } from './controls.js';"
    pairs = [["Fit", "Show the whole frame (0)"], ["◀ Previous", "Previous clip (P)"], ["?", "Help (?)"]]
    pairs += [["▶ Play", "Play or stop (space)"], ["To the labels", "To the nearest labelled frame (L)"]]
    assert node(imports, "given.map(([label, tip]) => spoken(label, tip))", pairs) == [
        "Fit: Show the whole frame (0)",
        "Previous clip (P)",
        "Help (?)",
        "Play or stop (space)",
        "To the labels: To the nearest labelled frame (L)",
    ]
