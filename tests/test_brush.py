"""The brush's Python half: it trusts nothing that a browser sends, and loses nothing that it was given."""

import errno
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lusnb.cohort import arrays, painting
from lusnb.cohort import cohort as cohorts
from lusnb.cohort.painting import PaintingError
from lusnb.widgets import advice
from lusnb.widgets import brush_messages as messages
from lusnb.widgets.brush import HANDLERS, Brush
from tests.test_strokes import CANVAS, LINK, NODE, node

in_node = pytest.mark.skipif(NODE is None, reason="no node here: install Debian's package `nodejs`")
FEATURES = ("sharp_pleura", "fuzzy_pleura", "fascia_band", "a_line", "sub_a_line", "b_line")


class Heard(Brush):
    """A brush that notes what it sends, and saves at once instead of soon."""

    def _changed(self):
        self._dirty = True
        self.flush()

    def send(self, content, buffers=None):
        self.__dict__.setdefault("sent", []).append((content, buffers))

    def ask(self, kind, *buffers, view="v", **content):
        """One message of a view; returns what was answered, the last being `got`."""
        self.__dict__["sent"] = []
        self._received(self, {"type": kind, "view": view, "sequence": 1, **content}, list(buffers))
        return self.sent

    def patch(self, pixels, feature=0, x=0, y=0, view="v", **other):
        """A patch as a view sends it, with whatever is to be wrong with it."""
        pixels = np.asarray(pixels, np.uint8)
        about = {"picture": self._picture, "revision": self._revision, "looked": True, "source": "empty"}
        where = {"feature": feature, "x": x, "y": y, "h": pixels.shape[0], "w": pixels.shape[1]}
        return self.ask("patch", memoryview(pixels.tobytes()), view=view, **about | where | other)


def bare_cohort(folder: Path, size: int = 512, patient: str = "P1") -> Path:
    """A cohort of one clip of speckle, six features, without labels."""
    (folder / "clips").mkdir(parents=True)
    speckle = np.random.default_rng(0).gamma(2.0, 30.0, (8, size, size)).clip(0, 255).astype(np.uint8)
    np.save(folder / "clips" / "c1.npy", speckle)
    tables = {
        "cohort.yaml": f"name: bare\nversion: '1'\nfeatures: [{', '.join(FEATURES)}]\nviews: {{}}\n",
        "patients.csv": f"patient_id,readmitted_30d,split,fold\n{patient},,train,\n",
        "clips.csv": f"clip_id,patient_id,day,view,path,depth_cm,fps\nc1,{patient},,,clips/c1.npy,12.0,20\n",
        "labels.csv": "clip_id,frame,rater,feature,path\n",
    }
    for name, text in tables.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def folder(phantom, tmp_path):
    """A copy of the phantom cohort that may be painted in."""
    return Path(shutil.copytree(phantom, tmp_path / "cohort"))


@pytest.fixture
def brush(folder):
    return Heard(folder, "anna")


def kinds(sent):
    return [content["type"] for content, _ in sent]


def got(sent):
    content, _ = sent[-1]
    assert content["type"] == "got"
    return content["ok"]


def files_of(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_patch_is_put_where_it_says_saved_and_opened_again(brush, folder):
    pixels = np.arange(6, dtype=np.uint8).reshape(2, 3) + 100
    sent = brush.patch(pixels, feature=2, x=5, y=7, seconds=4.5)
    assert kinds(sent) == ["saved", "got"] and got(sent)
    expected = np.zeros((6, 64, 64), np.uint8)
    expected[2, 7:9, 5:8] = pixels
    assert (brush.maps == expected).all()
    now = cohorts.read(folder)
    rows = now.labels[now.labels["rater"] == "anna"]
    assert list(rows["feature"]) == ["fascia_band"] and list(rows["clip_id"]) == [brush.painting.clip_id]
    assert (arrays.image(now, rows["path"].iloc[0]) == expected[2]).all()
    assert painting.painted(now)["seconds"].tolist() == [4.5]
    assert (
        Heard(folder, "anna", clip_id=brush.painting.clip_id, frame=brush.painting.frame).maps == expected
    ).all()


def test_nothing_there_is_not_the_same_as_not_looked_at(brush, folder):
    none = np.zeros((0, 0), np.uint8)
    assert got(brush.patch(none, feature=1))
    rows = cohorts.read(folder).labels
    assert list(rows.loc[rows["rater"] == "anna", "feature"]) == ["fuzzy_pleura"]
    assert got(brush.patch(none, feature=1, looked=False))
    assert "anna" not in set(cohorts.read(folder).labels["rater"])
    assert got(brush.patch([[9]], feature=1, looked=False))  # paint is looked at, whatever is said
    assert brush.painting.looked.tolist() == [False, True, False, False, False, False]


BAD = [
    ({"x": 62}, r"expected w from 0 to 2, got 3"),
    ({"y": 63}, r"expected h from 0 to 1, got 2"),
    ({"x": -1}, r"expected x from 0 to 64, got -1"),
    ({"w": 2}, r"expected one buffer of 2 x 2 bytes, got \[6\]"),
    ({"w": True}, r"expected w from 0 to 64, got True"),
    ({"h": 1.0}, r"expected h from 0 to 64, got 1.0"),
    ({"feature": 6}, r"expected feature from 0 to 5, got 6"),
    ({"feature": -1}, r"expected feature from 0 to 5, got -1"),
    ({"feature": "0"}, r"expected feature from 0 to 5, got '0'"),
    ({"looked": "yes"}, r"expected looked as yes or no, got 'yes'"),
    ({"source": "rater rater_9"}, r"expected a source of this frame, got 'rater rater_9'"),
    ({"source": None}, r"expected source as a text, got None"),
    ({"source": "x" * 300}, r"expected source as a text"),
    ({"picture": 0}, r"Painted elsewhere meanwhile"),
    ({"revision": None}, r"expected revision from 0"),
]


@pytest.mark.parametrize(("wrong", "told"), BAD, ids=[str(k) for k in range(len(BAD))])
def test_a_wrong_patch_is_refused_and_changes_nothing(brush, folder, wrong, told):
    before = files_of(folder)
    sent = brush.patch(np.full((2, 3), 9), **wrong)
    assert kinds(sent) == ["refused", "got"] and not got(sent)
    assert re.search(told, sent[0][0]["text"]), sent[0][0]["text"]
    assert not brush.maps.any() and not brush.painting.looked.any() and files_of(folder) == before


def test_messages_of_any_shape_raise_nothing_and_write_nothing(brush, folder):
    before, odd = files_of(folder), [None, -1, 1e99, "../../etc", [], {}, True, "x" * 9999, float("nan")]
    names = [
        "clip_id",
        "frame",
        "source",
        "x",
        "y",
        "w",
        "h",
        "feature",
        "picture",
        "revision",
        "looked",
        "name",
    ]
    for kind in (*HANDLERS, "ready", "rater", "nonsense", None):
        for value in odd:
            sent = brush.ask(kind, b"12", view=value, **dict.fromkeys(names, value), seconds=value)
            assert kinds(sent)[-1] == "got"
    for buffers in ([], [b"1", b"2"], [memoryview(np.zeros(6, np.float64))]):
        brush.__dict__["sent"] = []
        brush._received(brush, {"type": "patch", "x": 0, "y": 0, "w": 2, "h": 3}, buffers)
        assert not got(brush.sent)
    assert files_of(folder) == before and not brush.maps.any()


def test_frames_outside_the_cohort_are_not_opened(brush):
    here = (brush.painting.clip_id, brush.painting.frame)
    for clip_id, frame in (("../secret", 0), ("", 0), (here[0], 6), (here[0], -1), (here[0], "0")):
        sent = brush.ask("open", clip_id=clip_id, frame=frame)
        assert kinds(sent) == ["refused", "got"] and not got(sent)
    assert (brush.painting.clip_id, brush.painting.frame) == here
    assert "expected a frame from 0 to 5, got 6" in brush.ask("open", clip_id=here[0], frame=6)[0][0]["text"]
    assert "expected frame from 0 to 5, got 6" in brush.ask("look", frame=6)[0][0]["text"]


def test_other_raters_labels_stay_as_they_are(brush, folder):
    before = files_of(folder)
    with pytest.raises(PaintingError, match="labels in cohort that were not painted here"):
        Brush(folder, "rater_1")
    brush.patch(np.full((2, 3), 9))
    now = files_of(folder)
    kept = {path for path in before if path.name != "labels.csv"}
    assert all(now[path] == before[path] for path in kept)
    theirs = pd.read_csv(folder / "labels.csv").query("rater == 'rater_1'")
    assert len(theirs) == len(cohorts.read(folder).truth)


def test_a_view_that_is_ready_is_told_everything(brush):
    brush.patch(np.full((2, 3), 77), feature=3, x=1, y=2)
    sent = brush.ask("ready", view="second")
    assert kinds(sent) == ["hello", "picture", "got"]
    (hello, _), (picture, buffers), _ = sent
    assert hello["to"] == picture["to"] == "second" and hello["features"][0] == "sharp pleura"
    assert hello["colours"][0] == "#0072b2" and hello["rater"] == "anna"
    assert (picture["height"], picture["width"], picture["frames"]) == (64, 64, 6)
    assert picture["looked"] == [False, False, False, True, False, False] and picture["revision"] == 1
    clip = arrays.clip(brush.cohort, brush.painting.clip_id)
    assert buffers[0] == clip[brush.painting.frame].tobytes()
    assert [np.frombuffer(one, np.uint8).sum() for one in buffers[1:]] == [0, 0, 0, 6 * 77, 0, 0]
    assert picture["starts"] == ["empty", "rater rater_1"]
    assert {len(row) for row in hello["queue"]} == {8}


def test_two_views_do_not_paint_over_each_other(brush):
    brush.patch([[10]], view="a", revision=0)
    sent = brush.patch([[20]], view="b", revision=0)  # b has not seen what a painted
    assert kinds(sent) == ["refused", "got"] and not got(sent)
    assert "your last stroke was not taken" in sent[0][0]["text"] and brush.maps[0, 0, 0] == 10
    assert got(brush.patch([[30]], view="a", revision=0))  # a's own change is no surprise to a
    assert got(brush.patch([[40]], view="b", revision=2)) and brush.maps[0, 0, 0] == 40
    assert not got(brush.patch([[50]], view="a", revision=2))
    told = [content for content, _ in brush.patch([[50]], view="a", revision=3)]
    assert told[-1]["view"] == "a" and told[-1]["revision"] == 4


def test_a_start_is_sent_to_the_view_that_asked(brush):
    sent = brush.ask("start", source="rater rater_1")
    assert kinds(sent) == ["start", "got"] and sent[0][0]["to"] == "v" and not brush.maps.any()
    rows = brush.cohort.labels.query("rater == 'rater_1'").query("clip_id == @brush.painting.clip_id")
    assert sum(sent[0][0]["looked"]) == len(rows)
    first = arrays.image(brush.cohort, rows["path"].iloc[0])
    at = brush.cohort.features.index(rows["feature"].iloc[0])
    assert sent[0][1][at] == first.tobytes()
    assert got(brush.patch(first, feature=at, source="rater rater_1"))
    assert painting.painted(brush.cohort)["started_from"].tolist() == ["rater rater_1"]
    told = brush.ask("start", source="arm t000 seed 0")[0][0]["text"]
    assert told == "start from: expected empty, rater rater_1, got 'arm t000 seed 0'; choose one."


def test_what_cannot_be_saved_is_said_and_not_left(brush, folder):
    before, here = files_of(folder), brush.painting.clip_id
    sent = brush.patch(np.full((64, 64), 255))
    assert kinds(sent) == ["unsaved", "got"] and sent[0][0]["text"].startswith("Not saved: ")
    other = next(clip for clip in brush.cohort.clips["clip_id"] if clip != here)
    sent = brush.ask("open", clip_id=other, frame=0)
    assert not got(sent) and brush.painting.clip_id == here and files_of(folder) == before
    sent = brush.patch([[0]])
    assert kinds(sent) == ["saved", "got"] and brush.maps[0, 0, 0] == 0 and brush.maps[0, 1, 1] == 255
    assert got(brush.ask("open", clip_id=other, frame=0)) and brush.painting.clip_id == other


def test_a_blank_rater_is_asked_for(folder):
    brush = Heard(folder)
    assert brush.maps.shape == (0, 0, 0) and brush.painting is None
    sent = brush.ask("ready")
    assert kinds(sent) == ["hello", "got"] and sent[0][0]["rater"] == ""
    assert not got(brush.ask("save")) and "give it" in brush.ask("save")[0][0]["text"]
    assert not got(brush.ask("rater", name="rater_1")) and brush.painting is None
    sent = brush.ask("rater", name="  anna ")
    assert kinds(sent) == ["picture", "hello", "picture", "got"] and brush.rater == "anna"
    assert got(brush.patch([[9]]))
    assert not got(brush.ask("rater", name="ben")) and brush.rater == "anna"


def test_it_saves_by_itself_within_a_second(folder):
    brush = Heard(folder, "anna")
    brush._changed = lambda: Brush._changed(brush)
    for k in range(4):
        brush.patch([[50 + k]], x=k)
        time.sleep(0.05)
    assert painting.painted(brush.cohort).empty
    time.sleep(0.85)
    assert painting.painted(brush.cohort)["saves"].tolist() == [1]  # four patches, one save
    saved = painting.read(brush.cohort, brush.painting.clip_id, brush.painting.frame, "anna")
    assert saved.maps[0, 0, :4].tolist() == [50, 51, 52, 53] and not brush._dirty


def test_a_save_that_failed_is_tried_again(brush, monkeypatch):
    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr("lusnb.widgets.brush.LATER", 0.2)
    monkeypatch.setattr(painting, "save", full)
    assert brush.patch([[9]])[0][0]["text"] == "Not saved: no space left"
    monkeypatch.undo()
    time.sleep(0.5)
    assert kinds(brush.sent)[-1] == "saved" and not brush._dirty


def saved_soon(brush):
    """Whether a brush comes to be saved by itself within five seconds."""
    end = time.monotonic() + 5
    while (brush._dirty or "saved" not in kinds(brush.sent)[-1:]) and time.monotonic() < end:
        time.sleep(0.05)  # it is clean a moment before it says so
    return not brush._dirty


@pytest.mark.parametrize("kind", ["save", "open", "go_to"])
def test_a_save_that_was_asked_for_and_failed_is_tried_again(brush, folder, monkeypatch, kind):
    def full(*_):
        raise OSError("no space left")

    here, other = brush.painting.clip_id, brush.cohort.clips["clip_id"].iloc[-1]
    monkeypatch.setattr("lusnb.widgets.brush.LATER", 0.2)
    with monkeypatch.context() as patched:
        patched.setattr(painting, "save", full)
        brush.patch([[9]])
        if kind == "go_to":
            with pytest.raises(PaintingError, match="not saved: no space left"):
                brush.go_to(other, 0)
        else:
            sent = brush.ask(kind, clip_id=other, frame=0)  # Ctrl+S; N, Next and "Paint this frame"
            assert kinds(sent) == ["unsaved", "got"] and not got(sent), "said once: `saved` takes it back"
        assert brush._dirty and brush.painting.clip_id == here
    assert saved_soon(brush) and kinds(brush.sent)[-1] == "saved"
    assert painting.read(brush.cohort, here, brush.painting.frame, "anna").maps[0, 0, 0] == 9


def test_a_view_that_comes_later_hears_that_the_last_save_failed(brush):
    def told(view="second"):
        return next(
            content["unsaved"] for content, _ in brush.ask("ready", view=view) if "unsaved" in content
        )

    other = brush.cohort.clips["clip_id"].iloc[-1]
    assert told() == ""
    why = brush.patch(np.full((64, 64), 255))[0][0]["text"]
    assert "100 % all over" in why and told() == told("third") == why
    brush.patch([[0]])
    assert told() == ""
    brush.patch([[255]])
    assert told() == why and got(brush.ask("drop")) and told() == ""
    brush.patch([[255]])
    assert told() == why
    brush.patch([[0]])
    assert got(brush.ask("open", clip_id=other, frame=0)) and told() == ""


@in_node
def test_a_view_shows_a_failed_save_that_it_has_not_heard_of_itself():
    code = """
      const said = [], shown = { type: "picture", picture: 0, revision: 3, saved: "14:03:14", dirty: true };
      const note = () => said.push([link.status().state, link.status().text, link.refused]);
      link.heard({ ...shown, unsaved: "Not saved: no space left" }, []);
      note();
      link.heard({ type: "saved", picture: 0, revision: 3, at: "14:03:15" }, []);
      note();
      link.heard({ type: "unsaved", text: "Not saved: no space left" }, []);
      link.heard({ ...shown, dirty: false, unsaved: "" }, []); // given up in another view
      note();
      out = said;"""
    refused, saved, given_up = node(LINK + code, {}, "brush.js", CANVAS)
    assert refused == ["refused", "Not saved: no space left", "Not saved: no space left"]
    assert saved == ["saved", "All saved, 14:03:15", ""] and given_up == ["saved", "All saved, 14:03:14", ""]


def test_another_rater_s_map_is_offered_and_sent_as_it_is_now(brush, folder):
    clip_id, frame = brush.painting.clip_id, brush.painting.frame
    ben = Heard(folder, "ben", clip_id=clip_id, frame=frame)
    ben.patch([[50]])
    sent = brush.ask("open", clip_id=clip_id, frame=frame)
    assert sent[0][0]["starts"] == ["empty", "rater ben", "rater rater_1"]
    ben.patch([[60]])
    told, maps = brush.ask("start", source="rater ben")[0]
    assert told["type"] == "start" and maps[0] == ben.maps[0].tobytes() and maps[0][0] == 60


def test_in_a_cohort_that_nobody_may_write_in_nobody_begins(folder, monkeypatch):
    brush, before, real = Heard(folder), files_of(folder), os.open

    def refused(path, *more, **named):
        if str(path).endswith(painting.LOCK):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return real(path, *more, **named)

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(
        PaintingError, match="got Read-only file system; copy the cohort, or ask for the right"
    ):
        Heard(folder, "anna")
    sent = brush.ask("rater", name="anna")  # a name that is asked for: said where other names are refused
    assert kinds(sent) == ["refused", "got"] and "copy the cohort" in sent[0][0]["text"]
    assert brush.painting is None and brush.rater == "" and files_of(folder) == before
    monkeypatch.undo()
    assert got(brush.ask("rater", name="anna")) and got(brush.patch([[9]]))


@in_node
def test_who_hears_of_an_undo_sees_the_history_as_it_is_then():
    code = """
      const heard = [], lengths = ({ done, undone }) => [done.length, undone.length];
      const changed = () => heard.push(lengths(painter.history));
      const painter = new Painter({ changed, told() {} });
      painter.name(["one"], ["#0072b2"]);
      painter.open({ height: 2, width: 2, looked: [false], source: "empty" }, [new Uint8Array(4)]);
      painter.look(0, true);
      painter.look(0, false);
      painter.undo(); painter.undo(); painter.redo(); painter.redo();
      out = heard;"""
    expected = [[1, 0], [2, 0], [1, 1], [0, 2], [1, 1], [2, 0]]
    assert node(code, {}, "brush.js", CANVAS) == expected


PUSHES = [
    ("a notch of a mouse is one step", [(0, 100), (0, 120), (0, -100)], [-1, -1, 1]),
    ("a trackpad's small pushes are summed", [(0, 4)] * 31, [*[0] * 14, -1, *[0] * 14, -1, 0]),
    ("the other way begins anew", [(0, 50), (0, -50), (0, -9), (0, -1)], [0, 0, 0, 1]),
    ("lines and pages", [(1, 3), (1, -2), (2, 1)], [-1, 1, -1]),
    ("a strong push is one step", [(0, 900), (0, 4)], [-1, 0]),
]


@in_node
@pytest.mark.parametrize(("told", "pushes", "steps"), PUSHES, ids=[told for told, *_ in PUSHES])
def test_a_wheel_is_counted_in_steps(told, pushes, steps):
    code = """
      const wheel = new Wheel();
      const push = ([deltaMode, deltaY]) => wheel.step({ deltaMode, deltaY, deltaX: 0, shiftKey: false });
      out = given.map(push);"""
    assert node(code, pushes, "brush.js", CANVAS) == steps


@in_node
def test_a_push_to_the_side_counts_with_shift_alone():
    code = """
      const wheel = new Wheel(), side = { deltaMode: 0, deltaX: 100, deltaY: 0 };
      out = [false, true].map((shiftKey) => wheel.step({ ...side, shiftKey }));"""
    assert node(code, {}, "brush.js", CANVAS) == [0, -1]


def test_another_brush_of_the_same_rater_takes_over(brush, folder):
    brush.__dict__["sent"] = []
    other = Heard(folder, "anna")
    assert kinds(brush.sent) == ["retired"]
    sent = brush.patch([[9]])
    assert (
        not got(sent)
        and sent[0][0]["text"].endswith(f"paint there, or {advice.AGAIN}.")
        and not brush.maps.any()
    )
    assert got(other.patch([[8]])) and other.maps[0, 0, 0] == 8
    assert got(Heard(folder, "ben").patch([[7]])) and got(other.patch([[6]]))


def test_what_could_not_be_saved_is_not_thrown_away_by_another_brush(brush, folder, monkeypatch):
    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr("lusnb.widgets.brush.LATER", 60)
    monkeypatch.setattr(painting, "save", full)
    brush.patch([[9]])
    with pytest.raises(PaintingError, match=r"could not save what is painted on clip .*brush\.drop\(\)"):
        Heard(folder, "anna")
    assert brush.maps[0, 0, 0] == 9 and brush._dirty
    monkeypatch.undo()
    other = Heard(folder, "anna")  # now there is room: saved, and handed over
    assert other.maps[0, 0, 0] == 9 and not got(brush.patch([[7]]))


def test_what_cannot_be_saved_can_be_given_up(brush, folder):
    brush.patch([[9]])
    brush.patch(np.full((64, 64), 255))
    assert brush._dirty
    assert got(brush.ask("drop")) and not brush._dirty
    assert brush.maps[0, 0, 0] == 9 and brush.maps[0].sum() == 9
    brush.patch(np.full((64, 64), 255))
    brush.close()
    assert Heard(folder, "anna").maps[0].sum() == 9  # a brush that was closed stands in nobody's way


def test_a_frame_counts_as_painted_while_something_of_it_is_kept(brush, folder):
    def marked(one):
        own = (one.queue["clip_id"] == brush.painting.clip_id) & (one.queue["frame"] == brush.painting.frame)
        return one.queue.loc[own, "painted"].tolist()

    brush.patch([[9]])
    assert marked(brush) == [True]
    brush.patch([[0]], looked=False)
    assert marked(brush) == [False] and marked(Heard(folder, "anna", clip_id=brush.painting.clip_id)) == [
        False
    ]


def test_a_frame_that_shows_nothing_is_told_when_it_is_opened(folder):
    clip = cohorts.read(folder, look=False).clips.iloc[3]
    frames = np.load(folder / clip["path"])
    frames[2] = 0
    np.save(folder / clip["path"], frames)
    brush = Heard(folder, "anna")
    sent = brush.ask("open", clip_id=clip["clip_id"], frame=2)
    assert "cannot be saved" in sent[0][0]["odd"] and sent[0][0]["type"] == "picture"
    assert brush.patch([[9]])[0][0]["type"] == "unsaved"
    brush.patch([[0]], looked=False)
    assert got(brush.ask("open", clip_id=clip["clip_id"], frame=1))


def test_an_interpreter_ends_with_work_that_was_refused(folder):
    code = (
        "import sys, numpy as np\n"
        "from lusnb.widgets.brush import Brush\n"
        "brush = Brush(sys.argv[1], 'anna')\n"
        "brush.maps[0], brush.painting.looked[0] = 255, True\n"
        "brush._dirty = True\n"
    )
    assert subprocess.run([sys.executable, "-c", code, folder], timeout=120, check=False).returncode == 0


def test_time_goes_with_what_is_painted(brush, folder):
    brush.ask("seconds", seconds=20.0)
    here = (brush.painting.clip_id, brush.painting.frame)
    assert brush.painting.seconds == 20 and painting.painted(brush.cohort).empty
    brush.patch([[9]], seconds=5)
    brush.ask("seconds", seconds=7.25)
    for nonsense in (1e9, -5, float("nan"), "9", True, None):
        brush.ask("seconds", seconds=nonsense)
    assert brush.painting.seconds == pytest.approx(20 + 5 + 7.25 + messages.MOST_SECONDS)
    other = next(clip for clip in brush.cohort.clips["clip_id"] if clip != here[0])
    brush.go_to(other, 0)
    assert painting.painted(brush.cohort)["seconds"].tolist() == [pytest.approx(92.2, abs=0.06)]
    assert not brush.painting.seconds


def test_where_it_starts(folder):
    first = Heard(folder, "anna")
    assert first.painting.clip_id == first.queue["clip_id"].iloc[0]
    clip_id = first.queue["clip_id"].iloc[3]
    first.go_to(clip_id, 1)
    first.patch([[9]])
    again = Heard(folder, "anna").painting
    assert (again.clip_id, again.frame) == (clip_id, 1)  # where anna painted last
    assert Heard(folder, "ben", clip_id=clip_id).painting.frame == first.queue["frame"].iloc[3]
    assert Heard(folder, "anna", clip_id=clip_id, frame=2).painting.frame == 2
    with pytest.raises(PaintingError, match="expected a frame from 0 to 5, got 99"):
        Heard(folder, "anna", clip_id=clip_id, frame=99)
    with pytest.raises(PaintingError, match="expected a clip of the cohort, got 'nowhere'"):
        Heard(folder, "anna", clip_id="nowhere")


def test_a_large_frame_is_saved_and_it_is_told_how_fast(tmp_path):
    brush = Heard(bare_cohort(tmp_path / "bare"), "anna")
    noise = np.random.default_rng(1).integers(0, 255, (6, 512, 512)).astype(np.uint8)
    brush._changed = lambda: setattr(brush, "_dirty", True)
    for feature, pixels in enumerate(noise):
        brush.patch(pixels, feature=feature)
    start = time.perf_counter()
    brush.flush()
    took = time.perf_counter() - start
    print(f"512 x 512 x 6 saved in {took:.2f} s")
    saved = painting.read(brush.cohort, "c1", 0, "anna")
    assert (saved.maps == noise).all()


def test_it_imports_no_torch():
    code = "import sys, lusnb.widgets.brush; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
