"""The explorer as a person uses it: sliders, keys and pages, each step held against arrays read in Python."""

import shutil
import statistics

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lusnb import confidence, files
from lusnb.cohort import arrays, cohort
from lusnb.cohort import cohort as cohorts
from lusnb.report import looks
from lusnb.study import matrix as study_matrix
from lusnb.widgets import arm_maps, explorer_data
from tests.browser.conftest import eventually
from tests.predicted import scaled
from tests.test_arm_maps import checked, finished
from tests.test_explorer_data import predictions

# the canvas as it is seen, sampled in the middle of each of the frame's pixels: height x width x rgb
SAMPLE = """([height, width, stretch]) => {
  const canvas = document.querySelector('[data-testid=explorer] [data-testid=stage]');
  const [w, h] = [canvas.width, canvas.height], across = Math.min(w / width, h / (height * stretch));
  const [left, top] = [(w - width * across) / 2, (h - height * across * stretch) / 2];
  const { data } = canvas.getContext('2d').getImageData(0, 0, w, h), found = [];
  for (let y = 0; y < height; y += 1) for (let x = 0; x < width; x += 1) {
    const px = Math.floor(left + (x + 0.5) * across), py = Math.floor(top + (y + 0.5) * across * stretch);
    found.push(...data.slice(4 * (py * w + px), 4 * (py * w + px) + 3));
  }
  return found;
}"""
TURN = """async ([id, count]) => {
  const root = document.querySelector('[data-testid=explorer]'), times = [];
  const input = root.querySelector(`[data-testid=${id}]`);
  for (let k = 0; k < count; k += 1) {
    const drawn = new Promise((done) =>
      root.addEventListener('lusnb:drawn', (e) => done(e.detail.ms), { once: true }));
    input.value = 10 + ((7 * k) % 80);
    input.dispatchEvent(new Event('input', { bubbles: true }));
    times.push(await drawn);
    await new Promise((done) => setTimeout(done, 30));
  }
  return times;
}"""
# pixels that each piece has, and what is asked for, in order; `delay` seconds pass before a piece of a clip
SLOW = """
import time
from lusnb.widgets import explorer
asked, delay, piece = [], 0.15, explorer.Explorer._piece
def slow(self, what, start):
    if what["kind"] == "clip":
        asked.append(start // 4096)
        time.sleep(delay)
    return piece(self, what, start)
explorer.PIECE, explorer.Explorer._piece = 4096, slow
"""
SCROLLED = "() => [...document.querySelectorAll('*')].reduce((sum, one) => sum + one.scrollTop, 0)"
ERRORS = {"agreeing": "#2ca5e0", "missed": "#ffd92f", "spurious": "#e0409f", "both": "#ff5a1f"}
FIND = "import gc, ipywidgets\npages = [o for o in gc.get_objects() if isinstance(o, ipywidgets.Tab)][-1]"
STATE = "[(w.clip_id, w.frame, w.threshold, w.output, w.arm, w.shown) for w in pages.children[:1]][0]"


def rgb(colour):
    return [int(colour[k : k + 2], 16) for k in (1, 3, 5)]


def opened(notebook, **values):
    """The notebook, run, its widget there with all frames; the last cell's value under the name `pages`."""
    page = notebook("10_explore_thresholds", **values)
    page.run_all()
    settled(page)
    page.execute(
        "import gc, ipywidgets\npages = [o for o in gc.get_objects() if isinstance(o, ipywidgets.Tab)][-1]"
    )
    return page


def settled(page):
    page.page.wait_for_selector("[data-testid=explorer][data-clip]")
    page.widget("stage").scroll_into_view_if_needed()
    page.page.wait_for_timeout(400)


def first(data):
    """The labelled frame that the explorer opens with: of the first clip."""
    frames = cohort.labelled_frames(data).set_index("clip_id", drop=False)
    return frames.loc[data.clips["clip_id"][0]]


def seen(page, clip, stretch, expected):
    """Whether the picture comes to be, and is then held against it pixel by pixel."""
    height, width = clip.shape[1:]

    def now():
        return np.array(page.page.evaluate(SAMPLE, [height, width, stretch])).reshape(height, width, 3)

    eventually(lambda: (now() == expected).all(), 10)
    np.testing.assert_array_equal(now(), expected)


def painted(clip, frame, masks, colours):
    """The frame in grey, and over it each mask in its colour, one after the other: uint8 (H, W, 3)."""
    out = np.repeat(np.asarray(clip[frame])[..., None], 3, axis=2).astype(int)
    for mask, colour in zip(masks, colours, strict=True):
        out[mask] = rgb(colour)
    return out


def opaque(page):
    """Every kept pixel in its full colour, so that what is seen can be compared exactly."""
    page.page.get_by_text("Picture: window, gain, opacity, zoom").click()
    page.widget("opacity").fill("100")
    page.widget("flat").check()
    page.widget("stage").scroll_into_view_if_needed()


@pytest.fixture
def data(lab):
    return cohorts.read(lab.folder / "data" / "phantom_smoke", look=False)


@pytest.fixture
def runs(data, tmp_path):
    """A finished study of the cohort: two arms, curves, tasks; predictions of t060 follow the labels loosely.

    Cuts: t060 at 102 of 255 (40 %), t020 at 46 (18 %), whose tasks' frames were cut at 128.
    """
    runs = tmp_path / "runs" / "smoke" / "phantom_smoke"
    roles = dict(data.patients[["patient_id", "split"]].to_numpy())
    finished(runs, data, "t060", roles=roles, made_from=checked(runs, data), cut=102, task_cut=102)
    finished(runs, data, "t020", roles=roles, made_from=checked(runs, data), cut=46, task_cut=128)
    place = runs / "03_train_segmentation/t060/seed0/fold0/predictions/labelled.npy"
    maps, _ = arrays.confidence_of(data, cohort.labelled_frames(data), 32)
    files.write_npy(place, np.roll(maps, 2, axis=3))
    matrix = pd.DataFrame({"arm": ["t060"], "0.4": [0.5], "0.6": [0.4]})
    files.write_csv(runs / "tables/threshold_matrix.csv", matrix)
    files.write_csv(runs / "tables/threshold_matrix_fixed.csv", matrix.assign(**{"0.4": [0.3], "0.6": [0.2]}))
    curve = {
        "arm": "t060",
        "pixels": "band",
        "bin": [0, 1],
        "count": 9,
        "predicted": [0.1, 0.9],
        "observed": [0.2, 0.8],
    }
    files.write_csv(runs / "tables/reliability.csv", pd.DataFrame(curve))
    files.write_text(runs / "04_compare_segmentation/finished", "")
    patients = list(data.patients["patient_id"][:4])
    for task in study_matrix.TASKS:
        table = predictions(task, 0)
        table["patient_id"] = [patients[int(one)] for one in table["patient_id"]]
        folder = runs / study_matrix.NOTEBOOKS[task] / "t060" / "seed0"
        files.write_csv(folder / "predictions.csv", table)
        files.write_text(folder / "finished", "")
    return runs


def test_what_a_threshold_keeps_is_what_is_seen(notebook, data):
    page = opened(notebook)
    opaque(page)
    row = first(data)
    clip = arrays.clip(data, row["clip_id"])
    maps, _ = arrays.confidence_of(data, pd.DataFrame([row]), None)
    colours = list(looks.feature_colours(data.features).values())
    down, across = arrays.pixel_mm(data, row["clip_id"])
    for percent in (0, 20, 60, 100):
        page.widget("threshold").fill(str(percent))
        masks = [confidence.targets(one / 255, percent / 100) for one in maps[0]]
        seen(page, clip, down / across, painted(clip, row["frame"], masks, colours))
        kept = [page.widget(f"kept-{c}").inner_text() for c in range(6)]
        shares = [
            m.sum() / (one > 0).sum() if one.any() else None for m, one in zip(masks, maps[0], strict=True)
        ]
        assert [float(k.split()[0]) if k != "–" else None for k in kept] == [
            pytest.approx(100 * share, abs=0.51) if share is not None else None for share in shares
        ]
    page.widget("threshold").fill("20")
    page.widget("stage").focus()
    page.page.keyboard.press("1")  # a feature off by its key
    masks = [confidence.targets(one / 255, 0.2) for one in maps[0]]
    expected = painted(clip, row["frame"], masks[1:], colours[1:])
    seen(page, clip, down / across, expected)
    assert not page.widget("feature-0").is_checked()
    page.screenshot("explorer_labels")


def test_the_slider_is_dragged_and_python_knows(notebook):
    page = opened(notebook)
    box = page.widget("threshold").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.page.mouse.down()
    page.page.mouse.move(box["x"] + box["width"] - 2, middle, steps=5)
    page.page.mouse.up()
    assert page.widget("threshold").input_value() == "100"
    assert eventually(lambda: page.python(STATE)[2] == 100)


def test_keys_play_step_and_turn_and_a_reload_keeps_it_all(notebook, data):
    page = opened(notebook)
    page.widget("stage").focus()
    cells = "() => window.jupyterapp.shell.currentWidget.content.activeCellIndex"
    before = page.page.evaluate(cells)
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "]", "]", "[", "ArrowDown"):
        page.page.keyboard.press(key)
    assert page.page.evaluate(cells) == before  # JupyterLab did not take them
    assert page.widget("frame").input_value() == "1" and page.widget("threshold").input_value() == "51"
    labelled = first(data)["frame"]
    assert f"labels are of frame {labelled}" in page.widget("status").inner_text()
    page.page.keyboard.press("n")
    page.page.wait_for_selector(f"[data-testid=explorer][data-clip={data.clips['clip_id'][1]}]")
    page.page.keyboard.press("ArrowRight")
    assert eventually(lambda: page.python(STATE)[:3] == (data.clips["clip_id"][1], 1, 51))
    page.page.keyboard.press(" ")
    assert eventually(lambda: page.widget("frame").input_value() != "1")
    assert page.widget("play").get_attribute("aria-pressed") == "true"
    page.page.keyboard.press(" ")
    assert page.widget("play").get_attribute("aria-pressed") == "false"
    page.widget("frame").fill("3")
    assert eventually(lambda: page.python(STATE)[1] == 3)
    page.command("docmanager:save")
    page.page.wait_for_timeout(1000)
    page.reload()
    settled(page)
    assert page.widget("frame").input_value() == "3" and page.widget("threshold").input_value() == "51"
    assert page.widget("explorer").get_attribute("data-clip") == data.clips["clip_id"][1]


def test_the_pixel_under_the_pointer_is_read_out(notebook, data):
    page = opened(notebook)
    row = first(data)
    clip = arrays.clip(data, row["clip_id"])
    maps, _ = arrays.confidence_of(data, pd.DataFrame([row]), None)
    y, x = np.argwhere(maps[0].max(0) > 0)[5]
    down, across = arrays.pixel_mm(data, row["clip_id"])
    box = page.widget("stage").bounding_box()
    side = min(box["width"] / 64, box["height"] / (64 * down / across))
    left, top = (box["width"] - 64 * side) / 2, (box["height"] - 64 * side * down / across) / 2
    place = (box["x"] + left + (x + 0.5) * side, box["y"] + top + (y + 0.5) * side * down / across)
    page.page.mouse.move(*place)
    assert eventually(lambda: page.widget("readout").inner_text().startswith("column"))
    told = page.widget("readout").inner_text()
    mm = f"{(x + 0.5) * across:.1f} mm across, {(y + 0.5) * down:.1f} mm down"
    assert told == f"column {x}, row {y} · {mm} · grey {clip[row['frame']][y, x]}"
    here = [page.widget(f"here-{c}").inner_text() for c in range(6)]
    assert here == [f"{100 * level / 255:.0f} %" for level in maps[0, :, y, x].tolist()]


def test_errors_of_an_arm_are_coloured_and_counted(notebook, data, runs):
    page = opened(notebook, runs_folder=str(runs))
    opaque(page)
    page.widget("arm").select_option("t060 seed 0")
    page.page.wait_for_timeout(500)
    row = first(data)
    clip = arrays.clip(data, row["clip_id"])
    maps, _ = arrays.confidence_of(data, pd.DataFrame([row]), None)
    stored, role = arm_maps.open_runs(runs, data).maps("t060", 0, row["clip_id"], row["frame"])
    assert explorer_data.ROLES[role] in page.widget("role").inner_text()
    said = scaled(stored, 64, 64)
    down, across = arrays.pixel_mm(data, row["clip_id"])
    for threshold, output in ((50, 50), (20, 80)):
        page.widget("threshold").fill(str(threshold))
        page.widget("output").fill(str(output))
        labelled = confidence.targets(maps[0] / 255, threshold / 100)
        predicted = 100 * said.astype(int) >= 255 * output
        missed, spurious = (labelled & ~predicted).any(0), (~labelled & predicted).any(0)
        agreeing = (labelled & predicted).any(0)
        marks = [agreeing & ~missed & ~spurious, missed & ~spurious, spurious & ~missed, missed & spurious]
        expected = painted(clip, row["frame"], marks, ERRORS.values())
        seen(page, clip, down / across, expected)
        told = page.widget("errors").inner_text()
        for mask in (labelled & predicted, labelled & ~predicted, ~labelled & predicted):
            assert f"{mask.sum()} px" in told
        assert f"{marks[3].sum()} px" in told.split("missed and spurious")[1]
    page.screenshot("explorer_errors")
    page.theme("dark")
    seen(page, clip, down / across, expected)
    page.screenshot("explorer_errors_dark")
    page.theme("light")
    page.widget("threshold").fill("50")
    assert "45.0 %" in page.widget("curve-iou-values").inner_text()  # halfway between 0.5 and 0.4
    assert "(predicted from 80 %; its own validation cut is 40 %)" in page.widget("iou").inner_text()
    page.widget("output").fill("30")
    assert "35.0 %" in page.widget("curve-calibration-values").inner_text()
    page.widget("show-prediction").click()
    predicted = 100 * said.astype(int) >= 255 * 30
    colours = list(looks.feature_colours(data.features).values())
    expected = painted(clip, row["frame"], predicted, colours)
    seen(page, clip, down / across, expected)


def test_an_arm_is_cut_at_its_own_cut_until_the_reader_chooses(notebook, data, runs):
    page = opened(notebook, runs_folder=str(runs))
    opaque(page)
    row = first(data)
    clip = arrays.clip(data, row["clip_id"])
    down, across = arrays.pixel_mm(data, row["clip_id"])
    colours = list(looks.feature_colours(data.features).values())
    found = arm_maps.open_runs(runs, data)

    def shown(arm, least):
        said = scaled(found.maps(arm, 0, row["clip_id"], row["frame"])[0], 64, 64)
        seen(page, clip, down / across, painted(clip, row["frame"], said >= least, colours))

    def told(percent, words, pressed):
        assert eventually(lambda: page.widget("cut").inner_text() == f"Predicted from {percent} %{words}.")
        assert page.widget("output").input_value() == str(percent)
        assert page.widget("output").get_attribute("aria-valuetext") == f"{percent} %{words}"
        for name in ("cut-own", "cut-half"):
            assert page.widget(name).get_attribute("aria-pressed") == str(name == pressed).lower()

    assert not page.widget("cut").is_visible() and not page.widget("cut-own").is_visible()
    page.widget("arm").select_option("t060 seed 0")
    page.widget("show-prediction").click()
    told(40, ", its own validation cut", "cut-own")
    shown("t060", 102)
    assert "45.0 %" in page.widget("curve-iou-values").inner_text()
    assert "each arm at its own validation cut" in page.widget("curve-iou").inner_text()
    page.screenshot("explorer_own_cut")
    page.widget("arm").select_option("t020 seed 0")  # goes to that arm's own cut
    told(18, ", its own validation cut", "cut-own")
    shown("t020", 46)
    page.widget("cut-half").click()
    told(50, "; its own validation cut is 18 %", "cut-half")
    shown("t020", 128)
    assert "25.0 %" in page.widget("curve-iou-values").inner_text()
    assert "every arm cut at 50 %" in page.widget("curve-iou").inner_text()
    page.widget("arm").select_option("t060 seed 0")  # what was chosen by hand stays
    told(50, "; its own validation cut is 40 %", "cut-half")
    shown("t060", 128)
    page.widget("stage").focus()
    page.page.keyboard.press("o")
    told(40, ", its own validation cut", "cut-own")
    shown("t060", 102)
    page.widget("output").focus()
    page.page.keyboard.press("ArrowRight")  # by hand, from where the own cut stands
    told(41, "; its own validation cut is 40 %", None)
    shown("t060", 105)
    assert eventually(lambda: page.python(STATE)[3] == 41)
    page.widget("show-errors").click()
    assert eventually(lambda: "(predicted from 41 %; its own" in page.widget("iou").inner_text())
    page.command("docmanager:save")
    page.page.wait_for_timeout(1000)
    page.reload()
    settled(page)
    told(41, "; its own validation cut is 40 %", None)
    page.execute("pages.children[0].output = -1")  # and from Python
    told(40, ", its own validation cut", "cut-own")
    for name, role in (
        ("cut-own", "Own cut: predicted from where"),
        ("cut-half", "Every arm predicted from 50 %"),
    ):
        assert page.widget(name).get_attribute("aria-label").startswith(role)


def test_masks_of_the_tasks_say_at_which_cut_they_were_made(notebook, data, runs):
    page = opened(notebook, runs_folder=str(runs))
    row = first(data)
    frame = next(k for k in (0, 4) if k != row["frame"])  # one of the tasks' frames
    page.widget("arm").select_option("t020 seed 0")
    page.widget("frame").fill(str(frame))
    rest = ": the slider changes nothing on this frame."
    assert eventually(lambda: page.widget("cut").inner_text() == f"Cut at 50 % already{rest}")
    page.widget("arm").select_option("t060 seed 0")
    own = f"Cut at 40 % already, its own validation cut{rest}"
    assert eventually(lambda: page.widget("cut").inner_text() == own)
    assert page.widget("output").input_value() == "40"
    box = page.widget("stage").bounding_box()
    page.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert eventually(
        lambda: page.widget("readout").inner_text().endswith("· cut at 40 % already, its own validation cut")
    )
    page.widget("frame").fill(str(row["frame"]))
    assert eventually(
        lambda: page.widget("cut").inner_text() == "Predicted from 40 %, its own validation cut."
    )


def test_each_patient_is_cut_as_the_fold_that_held_it_out(notebook, data, tmp_path):
    runs = tmp_path / "runs" / "smoke" / "phantom_smoke"
    patients = list(data.patients["patient_id"])
    for fold in (1, 2):
        roles = {one: "test" if k % 2 == fold - 1 else "train" for k, one in enumerate(patients)}
        finished(runs, data, "t060", fold=fold, roles=roles, made_from=checked(runs, data), cut=51 * fold)
    page = opened(notebook, runs_folder=str(runs))
    page.widget("arm").select_option("t060 seed 0")
    for fold, patient in ((1, patients[0]), (2, patients[1])):
        clip = data.clips[data.clips["patient_id"] == patient]["clip_id"].iloc[0]
        page.widget("clips").select_option(clip)
        words = f"Predicted from {20 * fold} %, its own validation cut."
        assert eventually(lambda words=words: page.widget("cut").inner_text() == words)


def test_it_is_said_whose_labels_the_curves_are_of(notebook, data, runs):
    page = opened(notebook, runs_folder=str(runs))
    page.widget("source").select_option("truth")
    assert eventually(lambda: "labels of truth" in page.widget("curve-kept-note").inner_text())
    page.widget("source").select_option(index=0)
    rater = data.labels["rater"].iloc[0]
    assert eventually(lambda: f"labels of {rater}." in page.widget("curve-kept-note").inner_text())
    for name in ("iou", "calibration"):
        assert "of all raters merged, as in 04" in page.widget(f"curve-{name}-note").inner_text()
    swatches = "[data-testid=curve-{}-values] .lusnb-swatch"
    for name, round_ in (("kept", 0), ("iou", 1)):  # an arm's is round, a feature's is not
        found = page.page.locator(swatches.format(name))
        assert found.count() and found.and_(page.page.locator(".lusnb-arm")).count() == round_ * found.count()


@pytest.mark.parametrize("folds", [(0,), (1, 2)], ids=["paper", "cross_fitted"])
def test_the_published_split_is_told_where_it_plays_a_part(notebook, data, tmp_path, folds):
    runs = tmp_path / "runs" / "smoke" / "phantom_smoke"
    patients = list(data.patients["patient_id"])
    split = dict(data.patients[["patient_id", "split"]].to_numpy())
    for fold in folds:
        roles = dict.fromkeys(patients, "test") if fold else split
        finished(runs, data, "t060", fold=fold, roles=roles, made_from=checked(runs, data))
    held_out = patients if folds[0] else [one for one, own in split.items() if own == "test"]
    table = predictions("sf_ratio", 0)
    table["patient_id"] = [held_out[int(one) % len(held_out)] for one in table["patient_id"]]
    table = table[table["day"] != 1]
    files.write_csv(runs / "06_sf_ratio/t060/seed0/predictions.csv", table)
    files.write_text(runs / "06_sf_ratio/t060/seed0/finished", "")
    page = opened(notebook, runs_folder=str(runs))
    labels = page.page.locator("[data-testid=clips] optgroup").evaluate_all("all => all.map((o) => o.label)")
    assert labels == (patients if folds[0] else [f"{one} ({split[one]})" for one in patients])
    page.screenshot(f"explorer_clips_{len(folds)}")
    page.page.get_by_role("tab", name="Patients", exact=True).click()
    heads = page.widget("patients").locator("thead th").all_inner_texts()
    assert ("Split" in heads) == (folds == (0,))
    places = [heads.index(name) - 1 for name in ("S/F true, each day", "S/F predicted")]
    cells = page.widget("patients").locator("tbody tr").nth(patients.index(held_out[0])).locator("td")
    true, predicted = (cells.all_inner_texts()[at].split(", ") for at in places)
    days = set(data.exams[data.exams["patient_id"] == held_out[0]]["day"]) | {0, 2}
    assert len(true) == len(predicted) == len(days)  # of day 1 nothing is predicted
    assert [k for k, one in enumerate(predicted) if one == "–"] == [k for k in (1,) if 1 in days]
    page.widget(f"patient-{held_out[0]}").click()
    assert "–" in page.widget("patient").locator("tbody tr td").all_inner_texts()
    page.screenshot(f"explorer_split_{len(folds)}")


def test_the_frame_that_is_shown_comes_before_all_others(notebook, data, tmp_path):
    folder = tmp_path / "long"
    shutil.copytree(data.folder, folder)
    row = first(data)
    path = folder / data.clips.set_index("clip_id").at[row["clip_id"], "path"]
    clip = np.stack([np.roll(np.load(path)[0], k, axis=1) for k in range(100)])
    np.save(path, clip)
    down, across = arrays.pixel_mm(data, row["clip_id"])
    page = notebook("10_explore_thresholds", cohort_folder=str(folder))
    page.execute(SLOW)
    page.run_all()
    page.page.get_by_text("Picture: window, gain, opacity, zoom").click()
    page.widget("opacity").fill("0")
    page.widget("stage").scroll_into_view_if_needed()
    seen(page, clip, down / across, painted(clip, row["frame"], [], []))
    assert page.widget("progress").inner_text().startswith("frames: ")
    page.screenshot("explorer_progress")
    last = (int(row["frame"]) - 1) % 100  # of all frames the one that would come last
    page.widget("frame").fill(str(last))
    seen(page, clip, down / across, painted(clip, last, [], []))
    assert page.widget("progress").inner_text().endswith(" of 100")
    page.execute("delay = 0")
    page.page.wait_for_selector(f"[data-testid=explorer][data-clip={row['clip_id']}]")
    assert page.widget("progress").inner_text() == ""
    asked = page.python("asked")
    turned = asked.index(last)
    assert asked[:turned] == [(int(row["frame"]) + k) % 100 for k in range(turned)]
    assert sorted(asked) == list(range(100)) and turned < 99


def test_the_wheel_scrolls_the_page_until_the_picture_was_clicked(notebook):
    page = opened(notebook)
    mouse, keyboard = page.page.mouse, page.page.keyboard

    def picture():
        return page.page.evaluate(SAMPLE, [64, 64, 1])

    def turn(by):
        box = page.widget("stage").bounding_box()
        mouse.move(box["x"] + box["width"] / 2 + 40, box["y"] + box["height"] / 2)
        mouse.wheel(0, by)

    before, scrolled = picture(), page.page.evaluate(SCROLLED)
    turn(150)
    assert eventually(lambda: page.page.evaluate(SCROLLED) != scrolled)
    assert picture() == before
    keyboard.down("Control")
    turn(-300)
    keyboard.up("Control")
    assert eventually(lambda: picture() != before)
    page.widget("stage").click()
    keyboard.press("0")
    assert eventually(lambda: picture() == before)
    scrolled = page.page.evaluate(SCROLLED)
    turn(-300)
    assert eventually(lambda: picture() != before)
    assert page.page.evaluate(SCROLLED) == scrolled


def test_a_patient_leads_to_that_patients_clips(notebook, data, runs, tmp_path):
    odd = "<script>alert(1)</script>"
    folder = tmp_path / "odd"
    shutil.copytree(data.folder, folder)
    old = data.patients["patient_id"][0]
    for name in ("patients", "clips", "exams"):
        table = pd.read_csv(folder / f"{name}.csv", dtype=str, keep_default_na=False)
        table["patient_id"] = table["patient_id"].replace(old, odd)
        table.to_csv(folder / f"{name}.csv", index=False)
    asked = []
    page = opened(notebook, cohort_folder=str(folder), runs_folder=str(runs))
    page.page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    page.page.get_by_role("tab", name="Patients", exact=True).click()
    assert page.widget("plots").locator("figure").count() == 3
    assert "S/F ratio" in page.widget("plots").inner_text()
    page.page.get_by_test_id(f"patient-{odd}").click()
    assert page.widget("patient").locator("p").first.inner_text() == f"Patient {odd}"
    page.screenshot("explorer_patients")
    other = data.patients["patient_id"][1]
    page.widget(f"patient-{other}").click()
    ratio = explorer_data.outcomes_of(runs, data.sf_max)[0]["sf_ratio"]
    own = ratio[(ratio["patient_id"] == other) & (ratio["model"] == "tsm")].sort_values("day")
    heads = page.widget("patient").locator("thead th").all_inner_texts()[1:]
    cells = page.widget("patient").locator("tbody tr").first.locator("td").all_inner_texts()
    days = [k for k, head in enumerate(heads) if head.startswith("S/F ") and "(true " in head]
    assert [cells[k] for k in days] == [f"{value:.0f}" for value in own["value"]]
    clip = data.clips[data.clips["patient_id"] == other]["clip_id"].iloc[-1]
    page.widget(f"open-{clip}").click()
    page.page.wait_for_selector(f"[data-testid=explorer][data-clip={clip}]")
    assert page.widget("stage").is_visible() and page.widget("filter").input_value() == other
    count = (data.clips["patient_id"] == other).sum()
    assert page.widget("clip-count").inner_text() == f"{count} of {len(data.clips)}"
    page.widget("filter").fill("<script>")
    groups = page.page.locator("[data-testid=clips] optgroup")
    assert groups.count() == 1 and groups.get_attribute("label").startswith(odd)
    assert asked == [] and page.page.locator("[data-testid=explorer] script").count() == 0


def test_without_runs_or_a_cohort_it_says_what_to_run(notebook, tmp_path):
    page = opened(notebook)
    assert page.widget("role").inner_text() == "No segmenter is finished: make study PROFILE=smoke"
    page.page.get_by_role("tab", name="Patients", exact=True).click()
    assert page.widget("advice").inner_text() == "No task is finished: make study PROFILE=smoke"
    page = notebook("10_explore_thresholds", cohort_folder=str(tmp_path / "nothing"))
    page.run_all()
    told = f"There is no cohort.yaml in {tmp_path / 'nothing'}: correct cohort_folder."
    page.page.get_by_text(told).wait_for()


def test_the_time_from_slider_to_picture_is_told_at_512_by_512_by_6(notebook, data, tmp_path):
    folder = tmp_path / "large"
    shutil.copytree(data.folder, folder)
    for path in folder.glob("clips/*.npy"):
        np.save(path, np.load(path).repeat(8, axis=1).repeat(8, axis=2))
    for path in [*folder.glob("labels/*.png"), *folder.glob("truth/*.png")]:
        Image.fromarray(np.asarray(Image.open(path)).repeat(8, axis=0).repeat(8, axis=1)).save(path)
    large = cohorts.read(folder, look=False)
    runs = tmp_path / "runs"
    finished(runs, large, "t060", made_from=checked(runs, large))
    page = opened(notebook, cohort_folder=str(folder), runs_folder=str(runs))
    assert large.features == data.features
    assert arrays.clip(large, large.clips["clip_id"][0]).shape[1:] == (512, 512)
    for mode, sliders in {"labels": ["threshold"], "prediction": ["output"], "errors": ["threshold"]}.items():
        if mode != "labels":
            page.widget("arm").select_option("t060 seed 0")
            page.page.wait_for_timeout(500)
        page.widget(f"show-{mode}").click()
        for name in sliders:
            times = page.page.evaluate(TURN, [name, 50])
            median = statistics.median(times)
            print(f"{mode}, {name}: median {median:.1f} ms, longest {max(times):.1f} ms over 50 turns")
            assert len(times) == 50 and min(times) > 0
