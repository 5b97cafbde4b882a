"""The brush's arithmetic, run by node as the browser runs it, against NumPy and cases worked by hand."""

import json
import shutil
import subprocess

import numpy as np
import pytest

from lusnb.widgets import advice, assets
from tests import strokes_reference as reference

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="no node here: install Debian's package `nodejs`")
RIGHT = 0.5 + 1e-6  # of a byte: rounded to the nearest
SHAPE = (37, 52)
CANVAS = """
const made = () => ({
  width: 0, height: 0, dataset: {}, append() {}, addEventListener() {},
  setAttribute(name, value) { this[name] = Number(value); },
  getContext: () => ({
    createImageData: (w, h) => ({ data: new Uint8ClampedArray(4 * w * h) }), putImageData() {},
  }),
});
globalThis.document = { createElement: made };
"""


def node(code, given, name="strokes.js", before=""):
    """What `code` puts into `out`, with the module's names and `given` at hand."""
    source = assets.module(name).replace("export default { render };", "")
    given = f"const given = {json.dumps(given)}; let out;"
    told = "\n".join([before, source, given, code, "console.log(JSON.stringify(out));"])
    run = [NODE, "--input-type=module", "-"]
    done = subprocess.run(run, input=told, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def strokes(jobs):
    code = """
      out = given.map(({ old, shape, points, ...how }) => {
        const bytes = Uint8Array.from(old.flat());
        const stroke = new Stroke(bytes, { height: shape[0], width: shape[1] }, how);
        for (const [x, y, radius, strength] of points) stroke.add({ x, y, radius, strength });
        return { bytes: Array.from(bytes), box: stroke.box };
      });"""
    found = node(code, jobs)
    return [
        (np.array(one["bytes"]).reshape(job["shape"]), one["box"])
        for job, one in zip(jobs, found, strict=True)
    ]


def job(old, points, kind="set", value=255.0, hardness=0.0):
    full = [(*point, 1.0)[:4] for point in points]
    about = {"old": old.tolist(), "shape": old.shape, "points": full}
    return about | {"kind": kind, "value": value, "hardness": hardness}


def test_a_click_worked_by_hand():
    empty, grey = np.zeros((5, 5), np.uint8), np.full((5, 5), 200, np.uint8)
    at = [(2.5, 2.5, 2.0)]
    soft, build, erase, hard = strokes(
        [
            job(empty, at),
            job(grey, at, "build"),
            job(grey, at, "erase"),
            job(empty, [(2.5, 2.5, 1.0)], hardness=1.0),
        ]
    )
    # at distance 0, 1 and the root of 2 of a radius of 2 the cover is 1, 1/2 and 0.2929: 255, 127.5, 74.7
    corner = [0, 75, 128, 75, 0]
    assert soft[0].tolist() == [[0] * 5, corner, [0, 128, 255, 128, 0], corner, [0] * 5]
    assert build[0][2].tolist() == [200, 255, 255, 255, 200] and build[0][0, 0] == 200
    assert erase[0][2].tolist() == [200, 100, 0, 100, 200]
    assert hard[0].tolist() == [[0] * 5, [0, 0, 255, 0, 0], [0, 255, 255, 255, 0], [0, 0, 255, 0, 0], [0] * 5]


def test_the_profile_worked_by_hand():
    asked = [
        [0, 4, 0.5],
        [2, 4, 0.5],
        [3, 4, 0.5],
        [4, 4, 0.5],
        [5, 4, 0.5],
        [4, 4, 1],
        [4.01, 4, 1],
        [1, 4, 0],
    ]
    found = node("out = given.map((one) => profile(...one));", asked)
    assert found == [1, 1, 0.5, 0, 0, 1, 0, 0.75]


@pytest.mark.parametrize("kind", ["set", "build", "erase"])
def test_strokes_are_the_reference_to_the_last_byte(kind):
    rng, jobs = np.random.default_rng(5), []
    for k in range(25):
        old = rng.integers(0, 256, SHAPE).astype(np.uint8)
        points = np.column_stack(
            [rng.uniform(-8, 60, 9), rng.uniform(-8, 45, 9), rng.uniform(0.75, 11, 9), rng.uniform(0, 1, 9)]
        )
        if k % 2:
            points[:, 2:] = points[0, 2], 1.0  # no pressure
        hardness = [0.0, 1.0, *rng.uniform(0, 1, 23)][k]
        jobs.append(job(old, points[: rng.integers(1, 10)].tolist(), kind, rng.uniform(0, 255), hardness))
    for one, (painted, box) in zip(jobs, strokes(jobs), strict=True):
        old = np.array(one["old"], np.uint8)
        expected = reference.stroke(old, one["points"], kind, one["value"], one["hardness"])
        assert reference.far_off(painted, expected) <= RIGHT
        outside = np.ones(SHAPE, bool)
        outside[box["y"] : box["y"] + box["h"], box["x"] : box["x"] + box["w"]] = False
        assert (painted == old)[outside].all()


def test_more_points_on_the_way_change_nothing():
    old = np.zeros(SHAPE, np.uint8)
    ends = [(5.5, 7.5, 6.0), (45.5, 27.5, 6.0)]
    many = [(5.5 + 40 * k / 64, 7.5 + 20 * k / 64, 6.0) for k in range(65)]
    there_and_back = [*ends, ends[0], ends[1]]
    few, close, twice = strokes([job(old, one, "build", 90.0) for one in (ends, many, there_and_back)])
    assert np.abs(few[0] - close[0]).max() <= 1 and (few[0] == twice[0]).all() and few[0].max() == 90


def test_a_line_whose_end_moves_leaves_no_trace():
    code = """
      const bytes = Uint8Array.from(given.flat()), size = { height: given.length, width: given[0].length };
      const stroke = new Stroke(bytes, size, { kind: "set", value: 200, hardness: 1 });
      for (const [x, y] of [[30, 30], [50, 2], [44, 20]]) {
        stroke.restart();
        stroke.add({ x: 4, y: 5, radius: 2, strength: 1 });
        stroke.add({ x, y, radius: 2, strength: 1 });
      }
      out = Array.from(bytes);"""
    old = np.random.default_rng(1).integers(0, 256, SHAPE).astype(np.uint8)
    found = np.array(node(code, old.tolist())).reshape(SHAPE)
    assert reference.far_off(found, reference.line(old, (4, 5), (44, 20), 4, 200)) <= RIGHT


def test_fill_is_the_connected_region():
    rng = np.random.default_rng(2)
    jobs = []
    for _ in range(20):
        old = (rng.uniform(size=SHAPE) < 0.55).astype(np.uint8) * 90
        jobs.append((old, int(rng.integers(SHAPE[1])), int(rng.integers(SHAPE[0]))))
    code = """
      out = given.map(([old, column, row]) => {
        const bytes = Uint8Array.from(old.flat());
        const box = fill(bytes, { height: old.length, width: old[0].length }, column, row, 153);
        return { bytes: Array.from(bytes), box };
      });"""
    for (old, column, row), one in zip(
        jobs, node(code, [(o.tolist(), c, r) for o, c, r in jobs]), strict=True
    ):
        found, expected = np.array(one["bytes"]).reshape(SHAPE), reference.filled(old, column, row, 153)
        assert (found == expected).all()
        ys, xs = np.nonzero(expected != old)
        box = {"x": xs.min(), "y": ys.min(), "w": np.ptp(xs) + 1, "h": np.ptp(ys) + 1}
        assert one["box"] == box


def test_a_polygon_takes_the_pixels_whose_centre_is_inside():
    rng = np.random.default_rng(3)
    old = rng.integers(0, 256, SHAPE).astype(np.uint8)
    shapes = [rng.uniform((-5, -5), (58, 43), (n, 2)).tolist() for n in (3, 4, 5, 7, 12)]
    shapes.append([[10, 10], [20, 10], [20, 20], [10, 20]])  # along the pixels' edges: 10 x 10
    code = """
      out = given.shapes.map((points) => {
        const bytes = Uint8Array.from(given.old.flat());
        const size = { height: given.old.length, width: given.old[0].length };
        polygon(bytes, size, points.map(([x, y]) => ({ x, y })), 128);
        return Array.from(bytes);
      });"""
    for points, found in zip(shapes, node(code, {"old": old.tolist(), "shapes": shapes}), strict=True):
        assert (np.array(found).reshape(SHAPE) == reference.polygon(old, points, 128)).all()
    square = np.array(found).reshape(SHAPE)[10:20, 10:20]
    assert (square == 128).all()


PAINTER = """
  const painter = new Painter({ changed: (k, box) => heard.push([k, box]), told: (text) => said.push(text) });
  const heard = [], said = [], size = { height: 37, width: 52 };
  painter.name(["one", "two"], ["#0072b2", "#56b4e9"]);
  const maps = given.maps.map((map) => Uint8Array.from(map.flat()));
  painter.open({ ...size, looked: [false, false], source: "empty" }, maps);
  const press = { pressure: 1, erase: false };
  const now = () => painter.features.map(({ layer, looked }) => [Array.from(layer.bytes), looked]);
  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
"""


def painter(code, maps=None):
    maps = np.zeros((2, *SHAPE), int) if maps is None else maps
    return node(PAINTER + code, {"maps": maps.tolist()}, "brush_painter.js", CANVAS)


def test_120_strokes_are_undone_and_done_again():
    maps = np.random.default_rng(4).integers(0, 256, (2, *SHAPE))
    found = painter(
        """
      const states = [now()];
      const tools = ["brush", "eraser", "fill", "line", "polygon", "look"];
      for (let k = 0; k < 120; k += 1) {
        const tool = tools[k % 6], spot = (n) => ({ x: (k * 7 + n * 11) % 52, y: (k * 5 + n * 13) % 37 });
        painter.active = k % 2;
        painter.tool = tool;
        painter.confidence = (k % 10) / 10;
        if (tool === "look") painter.look(k % 2, k % 4 < 2);
        else painter.begin(spot(0), press);
        if (tool === "polygon") {
          painter.begin(spot(1), press);
          painter.begin(spot(2), press);
          painter.closePolygon();
        }
        painter.extend([[spot(1), press], [spot(2), press]]);
        painter.end();
        states.push(now());
      }
      const steps = painter.history.done.length;
      let undone = true, redone = true, at = states.length - 1;
      const distinct = states.filter((state, k) => k === 0 || !same(state, states[k - 1]));
      const passed = [now()];
      for (let k = 0; k < steps; k += 1) { painter.undo(); passed.push(now()); }
      undone = same(now(), states[0]) && states.every((state) => passed.some((one) => same(one, state)));
      for (let k = 0; k < steps; k += 1) painter.redo();
      redone = same(now(), states[states.length - 1]);
      painter.redo();
      const still = same(now(), states[states.length - 1]);
      out = { steps, undone, redone, still, distinct: distinct.length };""",
        maps,
    )
    assert found["steps"] >= 100 and found["distinct"] > 90  # an eraser where nobody looked does nothing
    assert found["undone"] and found["redone"] and found["still"]


def test_beside_the_picture_and_with_an_eraser_nothing_is_said_to_be_looked_at():
    """Unknown stays unknown: only paint, or the button that says so, makes it known."""
    found = painter(
        """
      const looked = () => painter.features.map((one) => one.looked);
      const stroke = (...spots) => {
        painter.begin(spots[0], press);
        painter.extend(spots.slice(1).map((spot) => [spot, press]));
        painter.end();
        return [looked(), painter.history.done.length];
      };
      painter.size = 4;
      out = [stroke({ x: -30, y: 10 }, { x: -20, y: 10 })];
      painter.tool = "eraser";
      out.push(stroke({ x: 10, y: 10 }, { x: 20, y: 10 }));
      painter.tool = "line";
      painter.begin({ x: -30, y: 10 }, press);
      painter.extend([[{ x: 80, y: 10 }, press]]);
      painter.extend([[{ x: -40, y: 10 }, press]]);
      painter.end();
      out.push([looked(), painter.history.done.length]);
      painter.tool = "brush";
      out.push(stroke({ x: -30, y: 10 }, { x: 10, y: 10 }));"""
    )
    assert found[0] == [[False, False], 0]
    assert found[1][0] == [False, False] and found[2][0] == [False, False]
    assert found[3][0] == [True, False] and found[3][1] == found[2][1] + 1


def test_a_history_keeps_200_steps_however_large_and_forgets_what_was_undone():
    found = node(
        """
      const history = new History(), step = () => ({ parts: [{ bytes: new Uint8Array(1e6) }], source: "" });
      for (let k = 0; k < 250; k += 1) history.push(step());
      const kept = history.done.length;
      history.undo((one) => one);
      history.undo((one) => one);
      const undone = history.undone.length;
      history.push(step());
      out = { kept, undone, left: history.undone.length, done: history.done.length };""",
        {},
    )
    assert found == {"kept": 200, "undone": 2, "left": 0, "done": 199}


def test_states_locks_and_starts():
    found = painter("""
      painter.look(1, true);
      const looked = now().map(([, on]) => on);
      painter.begin({ x: 20, y: 20 }, press);
      painter.end();
      painter.look(0, false); // takes its paint away
      const emptied = Math.max(...now()[0][0]);
      painter.undo();
      const back = Math.max(...now()[0][0]);
      painter.features[0].locked = true;
      painter.undo();
      const closed = painter.closed();
      const held = now()[0][1];
      const full = (value) => new Uint8Array(52 * 37).fill(value);
      painter.startFrom("rater b", [full(7), full(9)], [true, true]);
      const started = now().map(([bytes]) => bytes[0]), { source } = painter;
      painter.undo();
      const ended = [now()[1][0][0], painter.source];
      painter.features[0] = { ...painter.features[0], locked: false, shown: false };
      const hidden = painter.closed();
      out = { looked, emptied, back, said, closed, held, started, source, ended, hidden };""")
    assert found == {
        "looked": [False, True],
        "emptied": 0,
        "back": 255,
        "said": ["one is locked: unlock it to undo."],
        "closed": "one is locked: unlock it to paint.",
        "held": True,
        "started": [0, 9],
        "source": "rater b",
        "ended": [0, "empty"],
        "hidden": "one is hidden: show it to paint.",
    }


def test_pressure_scales_size_or_confidence():
    found = painter("""
      painter.hardness = 1;
      painter.size = 20;
      out = ["off", "size", "confidence"].map((pressure) => {
        painter.pressure = pressure;
        painter.begin({ x: 25.5, y: 18.5 }, { pressure: 0.5, erase: false });
        painter.end();
        const bytes = now()[0][0];
        painter.undo();
        return [bytes.filter((v) => v).length, Math.max(...bytes)];
      });""")
    disc = [int((np.abs(reference.centres(SHAPE) - (25.5 + 18.5j)) <= r).sum()) for r in (10, 5)]
    assert found == [[disc[0], 255], [disc[1], 255], [disc[0], 128]]


def test_keys_are_named_and_controls_keep_their_own():
    shift, control = {"shiftKey": True}, {"ctrlKey": True}
    events = [{"key": "Z"} | shift | control, {"key": "z", "metaKey": True}, {"key": "?"} | shift]
    events += [{"key": "N"} | shift, {"key": "3"}, {"key": "ArrowLeft"}]
    owners = [["INPUT", "range", "ArrowLeft"], ["INPUT", "range", "3"], ["SELECT", "", "b"]]
    owners += [["BUTTON", "", " "]]
    code = """
      const own = ([tagName, type, key]) => ownKey({ tagName, type }, key);
      out = [given.events.map(keyName), given.owners.map(own), KEYS.flatMap(([keys]) => keys)];"""
    found = node(code, {"events": events, "owners": owners}, "brush_keys.js", CANVAS)
    assert found[0] == ["Ctrl+Shift+z", "Ctrl+z", "?", "Shift+n", "3", "ArrowLeft"]
    assert found[1] == [True, False, True, True]
    assert len(found[2]) == len(set(found[2])), "a key does two things"


LINK = """
  const sent = [], size = { height: 3000, width: 2000 };
  const send = (message, _, buffers) => sent.push([message, buffers[0]?.byteLength]);
  const model = { on() {}, off() {}, send };
  const painter = new Painter({ changed: (k, box) => link.note(k, box), told() {} });
  const link = new Link(model, painter, { told() {}, on: {} });
  clearInterval(link.clock);
  painter.name(["one"], ["#0072b2"]);
  painter.open({ ...size, looked: [false], source: "empty" }, [new Uint8Array(6e6)]);
"""


def test_a_large_change_is_sent_in_bands_and_a_small_one_at_once():
    code = """
      painter.startFrom("rater b", [new Uint8Array(6e6).fill(3)], [true]);
      link.flush();
      painter.look(0, true);
      link.flush();
      out = sent.map(([{ type, feature, x, y, w, h, looked, source }, bytes]) =>
        [type, feature, x, y, w, h, looked, source, bytes]);"""
    found = node(LINK + code, {}, "brush.js", CANVAS)
    assert found == [
        ["patch", 0, 0, 0, 2000, 2000, True, "rater b", 4_000_000],
        ["patch", 0, 0, 2000, 2000, 1000, True, "rater b", 2_000_000],
        ["patch", 0, 0, 0, 0, 0, True, "rater b", 0],
    ]


def test_what_helps_where_the_kernel_is_silent_is_run_all():
    code = """
      model.widget_manager = { kernel: {} };
      const why = (status) => { model.widget_manager.kernel.status = status; return link.whySilent(3); };
      out = ["busy", "idle", "dead", "restarting"].map(why);
      link.broken = "closed";
      out.push(why("busy"));"""
    busy, *others = node(LINK + code, {}, "brush.js", CANVAS)
    told = "Nothing is being saved: the kernel has not answered for 3 s ("
    assert busy == f"{told}it is busy: painting goes on when it answers)."
    ends = [
        *(
            "has it lost this brush? Then",
            "it is dead: restart it, then",
            "it is busy or restarted: wait, or",
        ),
        "has it lost this brush? Then",
    ]
    assert others == [f"{told}{end} {advice.AGAIN})." for end in ends]
    assert advice.AGAIN.startswith("choose Run All Cells in the menu Run")


def test_what_python_answers_is_told():
    code = """
      const said = [];
      const note = () => said.push(link.status().state);
      const got = (more) => link.heard({ type: "got", view: link.id, ok: true, ...more }, []);
      note(); // nothing painted
      painter.look(0, true);
      note(); // not sent yet
      link.flush();
      link.heard({ type: "saved", picture: 0, revision: 1, at: "14:03:12" }, []);
      note(); // saved, not answered yet
      got({ sequence: 1, revision: 1 });
      note();
      link.heard({ type: "unsaved", text: "Not saved: no space left" }, []);
      note();
      link.heard({ type: "saved", picture: 0, revision: 1, at: "14:03:13" }, []);
      note();
      link.heard({ type: "got", view: "another", ok: true, revision: 2 }, []); // painted in another view
      note();
      link.tick();
      const asked = sent[sent.length - 1][0].type;
      link.heard({ type: "picture", to: "another", picture: 1, revision: 2, saved: "", dirty: false }, []);
      note(); // for another view
      const saved = "14:03:14";
      link.heard({ type: "picture", to: link.id, picture: 0, revision: 2, saved, dirty: false }, []);
      got({ sequence: 2, revision: 2 });
      note();
      link.heard({ type: "retired", text: "Another brush was opened" }, []);
      note();
      out = [said, asked, link.status().text];"""
    said, asked, text = node(LINK + code, {}, "brush.js", CANVAS)
    expected = ["saved", "saving", "saving", "saved", "refused", "saved", "blocked", "blocked", "saved"]
    assert said == [*expected, "blocked"]
    assert asked == "again" and text == "Another brush was opened"
