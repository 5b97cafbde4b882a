"""The soft brush as a person uses it; after each step the array or the file is read back in Python."""

import contextlib
import json
import os
import signal
import statistics
import time
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from lusnb.widgets import advice
from tests import strokes_reference as reference
from tests.browser.conftest import PROJECT, SIZE, TOKEN, NotebookPage, eventually, serve, with_parameters
from tests.test_brush import bare_cohort

RIGHT = 0.5 + 1e-6  # of a byte: rounded to the nearest
PLACE = """canvas => {
  const { left, top } = canvas.getBoundingClientRect();
  return { ...JSON.parse(canvas.dataset.view), x: left, y: top };
}"""
COLOUR = """(canvas, [x, y]) => {
  const { left, top } = canvas.getBoundingClientRect(), dense = window.devicePixelRatio;
  return Array.from(canvas.getContext("2d").getImageData(dense * (x - left), dense * (y - top), 1, 1).data);
}"""


class Easel:
    """The brush on a page: points at pixels of the picture, and reads back what Python has."""

    def __init__(self, page):
        self.page, self.mouse = page, page.page.mouse
        self.find()

    def find(self):
        """Find the brush again, after a reload or another run."""
        self.root = self.page.page.get_by_test_id("brush").first
        self.canvas = self.root.get_by_test_id("stage")
        self.canvas.scroll_into_view_if_needed()
        self.page.page.wait_for_function("() => document.querySelector('[data-testid=stage]')?.dataset.view")
        time.sleep(0.4)  # what is above may still grow
        self.canvas.scroll_into_view_if_needed()
        self.until("saved")
        self.shape = tuple(self.page.python("brush.maps.shape[1:]"))

    def until(self, state, timeout=30):
        end = time.monotonic() + timeout
        while self.root.get_attribute("data-state") != state:
            told = self.widget("status").inner_text()
            assert time.monotonic() < end, f"not {state} but {self.root.get_attribute('data-state')}: {told}"
            time.sleep(0.05)

    def widget(self, testid):
        return self.root.get_by_test_id(testid)

    def spots(self, *places):
        """Whole screen pixels next to places (x, y) of the picture, and where they truly lie in it."""
        v = self.canvas.evaluate(PLACE)
        screen = [
            (round(v["x"] + v["left"] + x * v["sx"]), round(v["y"] + v["top"] + y * v["sy"]))
            for x, y in places
        ]
        return screen, [
            ((x - v["x"] - v["left"]) / v["sx"], (y - v["y"] - v["top"]) / v["sy"]) for x, y in screen
        ]

    def drag(self, *places):
        """Drag through places of the picture; returns where they truly lie."""
        screen, true = self.spots(*places)
        self.mouse.move(*screen[0])
        self.mouse.down()
        for one in screen[1:]:
            self.mouse.move(*one)
        self.mouse.up()
        return true

    def set(self, testid, value):
        self.widget(testid).evaluate(
            "(input, to) => { input.value = to; input.dispatchEvent(new Event('input', {bubbles: true})); }",
            str(value),
        )

    def maps(self):
        """What Python has, once all is saved: uint8 (C, H, W)."""
        self.until("saved")
        raw = self.page.python("brush.maps.tobytes()")
        return np.frombuffer(raw, np.uint8).reshape(-1, *self.shape)

    def files(self):
        """What the cohort's files have of this frame and rater: feature -> uint8 (H, W)."""
        self.until("saved")
        paths = self.page.python(
            "[(r.feature, str(brush.cohort.folder / r.path)) for r in __import__('pandas').read_csv("
            "brush.cohort.folder / 'labels.csv').itertuples() if r.rater == brush.rater "
            "and r.clip_id == brush.painting.clip_id and r.frame == brush.painting.frame]"
        )
        return {feature: np.asarray(Image.open(path)) for feature, path in paths}

    def colour(self, place):
        (spot,), _ = self.spots(place)
        return self.canvas.evaluate(COLOUR, list(spot))

    def keys(self, *keys):
        self.canvas.focus()
        for key in keys:
            self.page.page.keyboard.press(key)


def points(places, radius):
    return [(x, y, radius, 1.0) for x, y in places]


@pytest.fixture
def easel(notebook, own_cohort):
    """The brush on the small phantom: a copy of it for each test, painted by somebody new."""

    def make(rater, **more):
        page = notebook("11_annotate", rater=rater, **{"cohort_folder": own_cohort} | more)
        page.run_all()
        return Easel(page)

    return make


def test_a_frame_is_painted(easel):
    on = easel("anna")
    expected = np.zeros((6, *on.shape))

    def check(feature, layer):
        expected[feature] = layer
        now = on.maps()
        assert reference.far_off(now, expected) <= RIGHT
        expected[:] = now

    on.set("size", 12)
    on.set("hardness", 40)
    stroke = [(12, 20), (30, 26), (44, 18), (50, 30)]
    check(0, reference.stroke(expected[0], points(on.drag(*stroke), 6.0), "set", 255.0, 0.4))
    assert len(set(on.colour((30, 26))[:3])) == 3, "the paint is not on the screen"

    on.keys("e")
    check(0, reference.stroke(expected[0], points(on.drag((30, 10), (32, 40)), 6.0), "erase", 255.0, 0.4))

    on.keys("b", "ArrowDown", "6")
    assert on.widget("feature-1").get_attribute("aria-pressed") == "true"
    check(1, reference.stroke(expected[1], points(on.drag((10, 50), (55, 52)), 6.0), "set", 153.0, 0.4))
    on.widget("mode").select_option("build")
    check(1, reference.stroke(expected[1], points(on.drag((20, 45), (22, 60)), 6.0), "build", 153.0, 0.4))

    before = expected.copy()
    on.widget("feature-2").click()
    on.keys("l", "0")
    on.widget("mode").select_option("set")
    a, *_, b = on.drag((5, 5), (40, 40), (58, 12))
    check(2, reference.line(expected[2], a, b, 12, 255.0))

    on.keys("p", "3")
    screen, true = on.spots((8, 34), (30, 36), (24, 58), (10, 56))
    for one in screen:
        on.mouse.click(*one)
        time.sleep(0.3)
    on.keys("Enter")
    check(2, reference.polygon(expected[2].astype(np.uint8), true, 77))

    on.keys("f", "9")
    screen, ((x, y),) = on.spots((60, 60))
    on.mouse.click(*screen[0])
    check(2, reference.filled(expected[2].astype(np.uint8), int(x), int(y), 230))

    after = expected.copy()
    on.keys("Control+z", "Control+z", "Control+z")
    assert (on.maps() == before).all()
    on.keys("Control+Shift+z", "Control+y")
    on.widget("redo").click()
    assert (on.maps() == after).all()
    on.widget("undo").click()
    on.widget("undo").click()
    on.widget("undo").click()
    assert (on.maps() == before).all()
    saved = on.files()
    looked = on.page.python("brush.painting.looked.tolist()")
    assert looked == [True, True, False, False, False, False] and set(saved) == {
        "sharp_pleura",
        "fuzzy_pleura",
    }
    assert (saved["sharp_pleura"] == before[0]).all() and (saved["fuzzy_pleura"] == before[1]).all()
    on.page.screenshot("brush_light")
    on.page.theme("dark")
    time.sleep(0.5)
    on.page.screenshot("brush_dark")
    on.page.theme("light")


def test_a_reload_and_a_new_kernel_lose_nothing(easel):
    on = easel("bea")
    on.drag((10, 10), (50, 30))
    first = on.maps()
    assert first[0].max() == 255
    on.page.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    time.sleep(1)
    on.drag((10, 50), (40, 50))  # and the page goes at once, before anything was saved
    on.page.reload()
    on.find()
    second = on.maps()
    assert (second[0] >= first[0]).all() and second[0, 49, 20] == 255
    assert len(set(on.colour((20, 50))[:3])) == 3 and len(set(on.colour((60, 60))[:3])) == 1
    on.drag((55, 5), (55, 60))
    third = on.maps()
    assert (third[0] >= second[0]).all() and third[0, 30, 54] == 255
    on.page.restart_kernel()
    on.page.run_all()
    on.find()
    assert (on.maps() == third).all() and (on.files()["sharp_pleura"] == third[0]).all()


def test_a_kernel_that_is_killed_loses_at_most_two_seconds(easel):
    on = easel("cem")
    on.drag((10, 10), (50, 30))
    painted = time.monotonic()
    while time.monotonic() - painted < 2:
        time.sleep(0.01)
    pid = on.page.python("__import__('os').getpid()")
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.5)
    on.drag((5, 55), (60, 55))
    on.until("blocked")
    told = on.widget("status").inner_text()
    assert told.startswith("Nothing is being saved: the kernel has not answered for")
    before = on.colour((30, 45))
    on.drag((5, 45), (60, 45))
    assert on.colour((30, 45)) == before
    on.page.screenshot("brush_blocked")
    on.page.until_idle()
    ending = f"{advice.AGAIN})."  # of a kernel that is back, as the page sees it, or not yet
    assert eventually(lambda: on.widget("status").inner_text().endswith(ending))
    on.page.run_all()
    on.find()
    now = on.maps()[0]
    assert now[9, 11] == 255 and now[29, 48] == 255


RUN = """code => {
  window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.requestExecute({code});
}"""


def test_a_long_cell_does_not_keep_it_from_saving(easel):
    on = easel("dea")
    on.page.page.evaluate(RUN, "import time; time.sleep(8)")
    time.sleep(0.3)
    on.drag((10, 10), (50, 10))
    time.sleep(1.5)
    if on.root.get_attribute("data-state") != "saved":  # where the kernel has no subshells
        on.until("blocked")
        on.until("saved")
    assert on.files()["sharp_pleura"][9, 30] == 255


def test_a_kernel_that_does_not_answer_is_told_and_waited_for(easel):
    on = easel("deb")
    there = on.page.project / "asleep"
    code = f"open({str(there)!r}, 'w').close(); import ctypes, time; time.sleep(1.5)"  # busy, as all are told
    code += "; ctypes.PyDLL(None).sleep(12)"
    on.page.page.evaluate(RUN, code)  # keeps all its threads waiting
    assert eventually(there.exists)
    time.sleep(2)
    on.drag((10, 10), (50, 10))
    on.until("blocked")
    assert "it is busy: painting goes on when it answers" in on.widget("status").inner_text()
    on.drag((10, 40), (50, 40))
    on.until("saved")
    now = on.maps()[0]
    assert now[9, 30] == 255 and not now[35:].any()


def test_what_was_looked_at_and_what_takes_nothing(easel):
    on = easel("eli")
    state = on.widget("looked-3")
    assert state.inner_text() == "not looked at"
    state.click()
    assert state.inner_text() == "nothing there"
    on.until("saved")
    saved = on.files()
    assert set(saved) == {"a_line"} and not saved["a_line"].any()
    on.keys("ArrowDown", "ArrowDown", "ArrowDown")
    on.drag((10, 30), (50, 30))
    assert state.inner_text() == "painted" and on.maps()[3].any()
    state.click()
    assert state.inner_text() == "empty it?" and on.maps()[3].any()
    state.click()
    assert state.inner_text() == "not looked at" and not on.maps()[3].any() and on.files() == {}
    on.keys("Control+z")
    painted = on.maps()
    assert painted[3].any() and state.inner_text() == "painted"
    on.widget("lock-3").check()
    on.drag((10, 50), (50, 50))
    assert on.widget("told").inner_text() == "a line is locked: unlock it to paint."
    on.widget("lock-3").uncheck()
    on.widget("show-3").uncheck()
    on.drag((10, 50), (50, 50))
    assert on.widget("told").inner_text() == "a line is hidden: show it to paint."
    assert len(set(on.colour((30, 30))[:3])) == 1
    on.widget("show-3").check()
    on.keys("ArrowRight")
    on.drag((10, 50), (50, 50))
    own = on.page.python("brush.painting.frame")
    assert on.widget("told").inner_text() == f"This frame is for context: go back to frame {own} to paint."
    on.widget("back").click()
    assert (on.maps() == painted).all()
    on.drag((10, 50), (50, 50))
    assert on.maps()[3, 49, 30] == 255


def test_what_is_not_seen_is_not_changed(easel):
    on = easel("eva")
    own, told = on.page.python("brush.painting.frame"), on.widget("told")
    on.drag((10, 30), (50, 30))
    one = on.maps()
    on.drag((10, 50), (50, 50))
    both = on.maps()
    on.keys("ArrowRight")
    context = f"This frame is for context: go back to frame {own} to paint."
    for step in (lambda: on.keys("Control+z"), on.widget("undo").click, on.widget("start").click):
        on.widget("source").select_option("rater rater_1")
        step()
        if on.widget("start").inner_text() != "Start":  # it asks first: something is painted
            on.widget("start").click()
        assert eventually(lambda: told.inner_text() == context)
        on.keys("Home", "ArrowRight")
        assert eventually(lambda: not told.is_visible()), "it is taken back on the frame that is painted"
    on.widget("looked-0").click()
    on.widget("looked-0").click()
    assert eventually(lambda: told.inner_text() == context) and (on.maps() == both).all()
    on.widget("back").click()
    on.canvas.focus()
    on.page.page.keyboard.down("h")
    on.drag((10, 10), (50, 10))
    hidden = "All layers are hidden: let go of H to paint."
    assert told.inner_text() == hidden
    on.page.page.keyboard.press("Control+z")
    assert on.widget("redo").is_disabled() and told.inner_text() == hidden
    on.page.page.keyboard.up("h")
    assert eventually(lambda: not told.is_visible()) and (on.maps() == both).all()
    on.widget("undo").click()
    assert on.widget("undo").is_enabled() and on.widget("redo").is_enabled() and (on.maps() == one).all()
    on.widget("undo").click()
    assert on.widget("undo").is_disabled() and on.widget("redo").is_enabled() and not on.maps().any()
    on.keys("Control+Shift+z")
    assert on.widget("undo").is_enabled() and on.widget("redo").is_enabled() and (on.maps() == one).all()
    on.keys("Control+Shift+z")
    assert on.widget("redo").is_disabled() and (on.maps() == both).all()


def test_a_stroke_ends_where_its_layers_are_no_longer_seen(easel):
    on = easel("evi")
    for key, back in (("h", None), ("ArrowRight", "Home")):
        screen, _ = on.spots((10, 20), (20, 20), (50, 20))
        on.canvas.focus()
        on.mouse.move(*screen[0])
        on.mouse.down()
        on.mouse.move(*screen[1])
        on.page.page.keyboard.down(key)
        on.mouse.move(*screen[2])
        on.mouse.up()
        on.page.page.keyboard.up(key)
        if back:
            on.keys(back)
        now = on.maps()[0]
        assert now[19, 15] == 255 and not now[:, 35:].any(), key
        on.keys("Control+z")
        assert not on.maps().any()


UNNAMED = """root => {
  const shown = (node) => node.checkVisibility(), plain = (text) => text.trim().toLowerCase();
  const told = (node) => node.getAttribute("aria-label") || node.innerText;
  const buttons = Array.from(root.querySelectorAll("button")).map((one) => [one, one.innerText]);
  const inputs = Array.from(root.querySelectorAll("label")).map(
    (one) => [one.querySelector("input, select"), one.querySelector("span:not(.lusnb-swatch)").innerText]);
  const wrong = ([node, text]) => shown(node) && !plain(told(node)).includes(plain(text));
  return [...buttons, ...inputs].filter(wrong).map(([node, text]) => `${text}: ${told(node)}`);
}"""
SWATCH = """button => [getComputedStyle(button).color,
  getComputedStyle(button.querySelector(".lusnb-swatch")).borderTopColor]"""


def test_controls_are_called_what_is_written_on_them(easel):
    on = easel("evo")
    assert on.root.evaluate(UNNAMED) == []
    on.keys("ArrowRight")
    assert eventually(lambda: on.widget("back").is_enabled()) and on.root.evaluate(UNNAMED) == []
    on.widget("play").click()
    assert on.widget("play").inner_text() == "Stop" and on.root.evaluate(UNNAMED) == []
    on.widget("back").click()
    on.drag((10, 30), (50, 30))
    on.widget("start").click()
    assert on.widget("start").inner_text() == "replace what is here?" and on.root.evaluate(UNNAMED) == []
    assert on.widget("threshold").get_attribute("aria-label") == "Threshold preview: show what is kept from"
    for feature in ("feature-0", "feature-1"):  # chosen, and not
        text, edge = on.widget(feature).evaluate(SWATCH)
        assert text == edge
    assert on.widget("feature-0").evaluate(SWATCH) != on.widget("feature-1").evaluate(SWATCH)


FULL = """
from lusnb.cohort import painting
kept = painting.save
def full(*_):
    raise OSError("no space left")
painting.save = full
"""


def test_a_save_that_failed_is_told_to_every_view_and_tried_again(easel):
    on = easel("evy")
    clip = on.page.python("brush.painting.clip_id")
    on.page.execute(FULL)
    on.drag((10, 30), (50, 30))
    on.until("refused")
    on.keys("n")  # asked for, and refused: it is tried again all the same
    assert eventually(lambda: on.page.python("brush._timer is not None"))
    on.page.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    on.page.page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
    on.page.reload()
    on.root = on.page.page.get_by_test_id("brush").first
    on.canvas = on.root.get_by_test_id("stage")
    on.until("refused")
    assert on.widget("status").inner_text() == "Not saved: no space left" and on.widget("drop").is_visible()
    on.widget("status").scroll_into_view_if_needed()
    on.page.screenshot("brush_refused")
    on.page.execute("painting.save = kept")
    on.find()  # waits until it is saved
    assert not on.widget("drop").is_visible() and on.page.python("brush.painting.clip_id") == clip
    assert on.files()["sharp_pleura"][29, 30] == 255


def test_what_is_shown_is_what_is_there(easel):
    on = easel("lea")
    clip = "__import__('lusnb.cohort.arrays').cohort.arrays.clip(brush.cohort, brush.painting.clip_id)"
    greys = np.array(on.page.python(f"{clip}[:, 20, 30].tolist()"))
    own, spot = on.page.python("brush.painting.frame"), (30.5, 20.5)
    assert on.colour(spot)[:3] == [greys[own]] * 3
    other = (own + 1) % len(greys)
    on.keys("ArrowRight")
    assert eventually(lambda: on.colour(spot)[:3] == [greys[other]] * 3) and greys[other] != greys[own]
    assert on.widget("context").inner_text().startswith(f"Frame {other} of 0 to 5, for context")
    on.keys("Home", " ")
    assert eventually(lambda: on.widget("play").inner_text() == "Stop")
    on.widget("play").click()
    on.keys("Home", "ArrowRight")  # wherever it stopped
    on.widget("back").click()
    on.set("gain", 0.5)
    assert eventually(lambda: on.colour(spot)[0] == np.floor(0.5 * greys[own] + 0.5))
    on.widget("reset").click()
    on.keys("4")
    on.set("hardness", 100)
    on.drag((20, 20.5), (40, 20.5))
    value = 102
    r, g, b, _ = on.colour(spot)
    alpha = round(0.7 * value) / 255
    assert abs(b - (alpha * 0xB2 + (1 - alpha) * greys[own])) <= 2  # opacity 70 %
    on.set("threshold", 50)
    assert eventually(lambda: on.colour(spot)[:3] == [greys[own]] * 3)
    on.set("threshold", 30)
    assert eventually(lambda: len(set(on.colour(spot)[:3])) == 3)
    on.canvas.focus()
    on.page.page.keyboard.down("h")
    assert eventually(lambda: on.colour(spot)[:3] == [greys[own]] * 3)
    on.page.page.keyboard.up("h")
    assert eventually(lambda: len(set(on.colour(spot)[:3])) == 3)
    (screen,), ((x, y),) = on.spots(spot)
    on.mouse.move(*screen)
    sizes = "__import__('lusnb.cohort.arrays').cohort.arrays.pixel_mm(brush.cohort, brush.painting.clip_id)"
    mm = on.page.python(f"[float(size) for size in {sizes}]")
    across, deep = x * mm[1], y * mm[0]
    told = f"x 30, y 20 \u00b7 {across:.1f} mm across, {deep:.1f} mm deep \u00b7 grey {greys[own]} \u00b7 "
    assert on.widget("readout").inner_text() == told + "sharp pleura 40 %"


def test_keys_do_not_reach_the_notebook(easel):
    on = easel("fay")
    count = "() => window.jupyterapp.shell.currentWidget.content.widgets.length"
    cells = on.page.page.evaluate(count)
    (spot,), _ = on.spots((30, 30))
    on.mouse.click(*spot)
    for key in (*"ddxabbcvvzmy15ii", "Shift+m"):  # right after a click, as a person does
        on.page.page.keyboard.press(key)
    on.widget("feature-1").click()
    on.page.page.keyboard.press("d")
    on.page.page.keyboard.press("d")
    assert on.page.page.evaluate(count) == cells
    kinds = (
        "() => window.jupyterapp.shell.currentWidget.content.widgets.map((cell) => cell.model.type).join()"
    )
    assert on.page.page.evaluate(kinds).count("code") == 5
    assert on.widget("confidence").input_value() == "50"
    on.keys("?")
    assert on.widget("help-sheet").is_visible()
    on.page.screenshot("brush_help")
    on.page.page.keyboard.press("Escape")
    assert not on.widget("help-sheet").is_visible()
    (spot,), _ = on.spots((30, 30))
    on.mouse.move(*spot)
    on.mouse.wheel(0, 100)
    assert eventually(lambda: on.widget("confidence").input_value() == "45")
    for _ in range(12):
        on.mouse.wheel(0, 4)  # a trackpad: together less than a notch of a mouse
    on.mouse.wheel(0, -100)
    assert eventually(lambda: on.widget("confidence").input_value() == "50")
    on.mouse.wheel(0, 100)
    assert eventually(lambda: on.widget("confidence").input_value() == "45")
    size = int(on.widget("size").input_value())
    on.page.page.keyboard.down("Shift")
    on.mouse.wheel(0, -100)
    on.page.page.keyboard.up("Shift")
    assert eventually(lambda: int(on.widget("size").input_value()) > size)
    assert on.widget("confidence").input_value() == "45"
    zoom = on.canvas.evaluate(PLACE)["sx"]
    on.page.page.keyboard.down("Control")
    on.mouse.wheel(0, -200)
    on.page.page.keyboard.up("Control")
    assert eventually(lambda: on.canvas.evaluate(PLACE)["sx"] > 1.3 * zoom)
    on.drag((28, 30), (34, 31))
    assert on.maps()[1, 30, 31] == 115  # 45 %, zoomed in


def test_keys_stay_in_it_in_notebook_7(project, own_cohort, chromium, tmp_path):
    pytest.importorskip("notebook", reason="no Notebook 7 here: install `notebook`")
    source = json.loads((PROJECT / "notebooks" / "11_annotate.ipynb").read_text(encoding="utf-8"))
    name, values = "seven.ipynb", {"rater": "ned", "cohort_folder": own_cohort}
    (project / "notebooks" / name).write_text(json.dumps(with_parameters(source, values)))
    more = ("--JupyterNotebookApp.expose_app_in_browser=True",)
    with contextlib.contextmanager(serve)(project, tmp_path, "notebook", more) as server:
        page = chromium.new_context(viewport=SIZE).new_page()
        page.goto(f"{server.url}/notebooks/notebooks/{name}?token={TOKEN}")
        on = Easel.__new__(Easel)  # by hand: its kernel is not asked
        on.page, on.mouse = SimpleNamespace(page=page), page.mouse
        NotebookPage.until_idle(on.page)
        page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
        on.root = page.get_by_test_id("brush").first
        on.canvas = on.root.get_by_test_id("stage")
        on.canvas.wait_for()
        time.sleep(2)
        on.canvas.scroll_into_view_if_needed()
        on.drag((10, 10), (50, 30))
        for control in ("stage", "feature-1", "queue"):
            on.widget(control).focus()
            for key in "ddx":
                page.keyboard.press(key)
        on.until("saved")
        cells = page.evaluate("() => window.jupyterapp.shell.currentWidget.content.widgets.length")
        page.context.close()
    assert cells == len(source["cells"])
    assert "ned" in (project / own_cohort / "annotations.csv").read_text()


def test_the_list_and_starts(easel):
    on = easel("gus")
    clips = [on.page.python("brush.queue.clip_id.tolist()"), on.page.python("brush.queue.frame.tolist()")]
    on.drag((10, 30), (50, 30))
    on.keys("n")
    on.page.page.wait_for_function(
        "name => document.querySelector('[data-testid=title]').textContent.startsWith(name + ' ')",
        arg=clips[0][1],
    )
    assert on.page.python("brush.painting.clip_id") == clips[0][1] and not on.maps().any()
    assert on.widget("queue-count").inner_text() == f"1 of {len(clips[0])} frames painted by you."
    on.widget("source").select_option("rater rater_1")
    on.widget("start").click()
    theirs = on.page.python(
        "[(r.feature, str(brush.cohort.folder / r.path)) for r in brush.cohort.labels.itertuples() "
        "if r.clip_id == brush.painting.clip_id]"
    )
    assert eventually(lambda: on.maps().any())
    now, names = on.maps(), on.page.python("list(brush.cohort.features)")
    for feature, path in theirs:
        assert (now[names.index(feature)] == np.asarray(Image.open(path))).all()
    assert on.page.python("brush.painting.started_from") == "rater rater_1"
    on.page.screenshot("brush_started")
    on.widget("source").select_option("empty")
    on.widget("start").click()
    assert on.widget("start").inner_text() == "replace what is here?" and (on.maps() == now).all()
    on.widget("start").click()
    assert eventually(lambda: not on.maps().any())
    assert on.page.python("brush.painting.looked.any().item()") is False
    on.keys("Control+z")
    assert (on.maps() == now).all()
    on.widget("queue").select_option("0")
    on.page.page.wait_for_function(
        "name => document.querySelector('[data-testid=title]').textContent.startsWith(name + ' ')",
        arg=clips[0][0],
    )
    assert on.maps()[0, 29, 30] == 255
    on.keys("t")
    assert on.widget("preview").is_checked()


def test_beside_the_picture_nothing_is_painted_and_the_frame_that_is_seen_can_be(easel):
    on = easel("paula")
    own = on.page.python("brush.painting.frame")
    on.set("size", 4)
    on.drag((-9, 20), (-6, 24))
    assert not on.maps().any() and on.files() == {}
    assert not any(on.page.python("brush.painting.looked.tolist()"))
    on.keys("ArrowRight")
    on.widget("paint-this").click()
    assert eventually(lambda: on.page.python("brush.painting.frame") == own + 1)
    assert eventually(lambda: f"frame {own + 1} " in on.widget("title").inner_text())
    on.drag((20, 20), (30, 24))
    assert on.maps()[0].any() and list(on.files()) == ["sharp_pleura"]


def test_a_name_is_asked_for_where_none_is_given(notebook, own_cohort):
    page = notebook("11_annotate", cohort_folder=own_cohort)
    page.run_all()
    root = page.widget("brush").first
    name = root.get_by_test_id("rater")
    name.fill("rater_1")
    root.get_by_test_id("begin").click()
    page.page.wait_for_function(
        "() => document.querySelector('[data-testid=status]').textContent.includes('rater_1')"
    )
    assert "not painted here" in root.get_by_test_id("status").inner_text()
    page.screenshot("brush_name")
    name.fill("hal")
    name.press("Enter")
    root.get_by_test_id("stage").wait_for()
    on = Easel(page)
    on.drag((10, 30), (50, 30))
    assert on.maps()[0, 29, 30] == 255 and page.python("brush.rater") == "hal"
    assert not root.get_by_test_id("rater").is_visible()


def test_two_views_show_the_same(easel):
    on = easel("ida")
    on.page.page.evaluate(
        """async () => {
          const { commands, shell } = window.jupyterapp, notebook = shell.currentWidget.content;
          notebook.activeCellIndex = 4;
          await commands.execute("notebook:insert-cell-below");
          notebook.activeCell.model.sharedModel.setSource("brush");
          await commands.execute("notebook:run-cell");
        }"""
    )
    on.page.page.wait_for_function("() => document.querySelectorAll('[data-testid=brush]').length === 2")
    other = Easel(on.page)
    other.root = on.page.page.get_by_test_id("brush").nth(1)
    other.canvas = other.root.get_by_test_id("stage")
    on.canvas.scroll_into_view_if_needed()
    on.drag((10, 20), (50, 20))
    on.maps()
    other.canvas.scroll_into_view_if_needed()
    assert eventually(lambda: len(set(other.colour((30, 20))[:3])) == 3), "the other view does not show it"
    other.drag((10, 50), (50, 50))
    now = other.maps()[0]
    assert now[19, 30] == 255 and now[49, 30] == 255
    on.canvas.scroll_into_view_if_needed()
    assert eventually(lambda: len(set(on.colour((30, 50))[:3])) == 3)
    assert on.widget("undo").is_disabled(), "its history is of a picture that is no more"


MANY = """async ([canvas, count]) => {
  const { sx, sy, left, top } = JSON.parse(canvas.dataset.view), box = canvas.getBoundingClientRect();
  const send = (type, x, y) => canvas.dispatchEvent(new PointerEvent(type, {
    bubbles: true, pointerId: 1, pointerType: "mouse", button: type === "pointermove" ? -1 : 0, buttons: 1,
    clientX: box.left + left + x * sx, clientY: box.top + top + y * sy,
  }));
  for (let k = 0; k < count; k += 1) {
    send("pointerdown", (k * 13) % 60, (k * 7) % 60);
    send("pointermove", (k * 17) % 60, (k * 11) % 60);
    send("pointerup", (k * 17) % 60, (k * 11) % 60);
  }
}"""


PEN = """canvas => {
  const { sx, sy, left, top } = JSON.parse(canvas.dataset.view), box = canvas.getBoundingClientRect();
  for (const type of ["pointerdown", "pointermove", "pointerup"]) {
    canvas.dispatchEvent(new PointerEvent(type, {
      bubbles: true, pointerId: 2, pointerType: "pen", pressure: 0.5, button: 0, buttons: 1,
      clientX: box.left + left + 30.5 * sx, clientY: box.top + top + 20.5 * sy,
    }));
  }
}"""


def test_a_pen_and_a_hundred_strokes_on_a_dense_screen(easel):
    on = easel("jon", dense=2.0)
    assert on.page.page.evaluate("() => window.devicePixelRatio") == 2
    width, shown = on.canvas.evaluate("canvas => [canvas.width, canvas.clientWidth]")
    assert width == 2 * shown
    on.widget("pressure").select_option("confidence")
    on.canvas.evaluate(PEN)
    now = on.maps()[0]
    assert now.max() == now[20, 30] == 128 and len(set(on.colour((30.5, 20.5))[:3])) == 3
    on.page.screenshot("brush_dense")
    on.keys("Control+z")
    on.set("size", 4)
    on.canvas.evaluate(f"canvas => ({MANY})([canvas, 110])")
    full = on.maps()
    assert on.widget("undo").is_enabled() and full[0].any()
    on.keys(*["Control+z"] * 110)
    assert not on.maps().any() and on.widget("undo").is_disabled()
    on.keys(*["Control+Shift+z"] * 110)
    assert (on.maps() == full).all() and (on.files()["sharp_pleura"] == full[0]).all()


LATENCY = """async (canvas) => {
  const { sx, sy, left, top } = JSON.parse(canvas.dataset.view), box = canvas.getBoundingClientRect();
  const dense = window.devicePixelRatio, context = canvas.getContext("2d");
  const send = (type, x, y) => canvas.dispatchEvent(new PointerEvent(type, {
    bubbles: true, pointerId: 1, pointerType: "mouse", button: type === "pointermove" ? -1 : 0, buttons: 1,
    clientX: box.left + left + x * sx, clientY: box.top + top + y * sy,
  }));
  const pixel = (x, y) => Array.from(
    context.getImageData(dense * (left + x * sx), dense * (top + y * sy), 1, 1).data.slice(0, 3));
  const frame = () => new Promise(requestAnimationFrame);
  const grey = ([r, g, b]) => r === g && g === b;
  const times = [], events = [];
  for (let k = 0; k < 50; k += 1) {
    const x = 30 + (k % 10) * 48, y = 40 + Math.floor(k / 10) * 90;
    send("pointerdown", x, y);
    await frame(); await frame();
    await new Promise((done) => setTimeout(done, 5 + (k * 7) % 16)); // anywhere between two frames
    if (!grey(pixel(x + 25, y + 30))) throw new Error("painted before it was painted");
    const start = performance.now();
    send("pointermove", x + 25, y + 30);
    events.push(performance.now() - start);
    while (grey(pixel(x + 25, y + 30))) await frame();
    times.push(performance.now() - start);
    send("pointerup", x + 25, y + 30);
    await frame();
  }
  return { times, events };
}"""


SAVE = """
import time
brush.maps[:] = (brush.maps.astype(int) + 3) % 250
brush.painting.looked[:] = True
brush._dirty, start = True, time.perf_counter()
brush.flush()
took = time.perf_counter() - start
"""


def test_brush_to_pixel_at_512_by_512_by_6(easel, project):
    bare_cohort(project / "data" / "large", patient="<script>alert(1)</script>")
    on = easel("kim", cohort_folder="data/large")
    alerts = []
    on.page.page.on("dialog", lambda dialog: alerts.append(dialog) or dialog.dismiss())
    assert "<script>alert(1)</script>" in on.widget("title").inner_text()
    assert "<script>alert(1)</script>" in on.widget("queue").inner_text() and not alerts
    on.set("size", 40)
    on.canvas.evaluate("canvas => canvas.focus()")
    found = on.canvas.evaluate(LATENCY)
    median = statistics.median(found["times"])
    print(f"brush to pixel, 512 x 512 x 6: median {median:.1f} ms, most {max(found['times']):.1f} ms,")
    print(f"of which in the pointer event: median {statistics.median(found['events']):.1f} ms")
    now = on.maps()[0]
    assert (now > 0).mean() > 0.1
    on.page.execute(SAVE)
    took = on.page.python("took")
    print(f"save of 512 x 512 x 6: {took:.2f} s")
    on.page.screenshot("brush_large")
    assert len(found["times"]) == 50 and median > 0
