"""The soft brush: painted in the browser at once, kept by Python, which owns what is true.

A view of this widget paints on layers of its own and sends what changed as rectangles of bytes. Here they
are checked, put into `Brush.maps`, answered, and saved into the cohort by themselves. Every message of a view
is answered by {"type": "got", ok}; one that could not be followed by {"type": "refused", text} before that. A
view that has missed another view's change is told no, and asks for the picture as it is here.
"""

import atexit
import contextvars
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import anywidget
import numpy as np
import pandas as pd

from lusnb.cohort import arrays, painting
from lusnb.cohort import cohort as cohorts
from lusnb.cohort.painting import Painting, PaintingError
from lusnb.widgets import advice, arm_maps, assets, queue
from lusnb.widgets import brush_messages as messages
from lusnb.widgets.brush_messages import MessageError, NotSaved
from lusnb.widgets.kernel import before_cells

SOON = 0.8  # seconds from a change to its save
LATER = 5.0  # seconds until a save that failed is tried again
RETIRED = f"Another brush was opened for this rater: paint there, or {advice.AGAIN}."
_painting_now: dict[tuple[Path, str], "Brush"] = {}  # (cohort folder, rater): two would undo each other


class Brush(anywidget.AnyWidget):
    """Paint graded confidence on the frames of a cohort.

    cohort_folder: a cohort that 00_cohort checked. rater: whose labels; blank: the view asks for the name.
    runs_folder: runs/<profile>/<cohort>, for what to paint first and predictions to start from; None: none.
    clip_id, frame: where to start; "" and -1: where this rater painted last, else at the queue's first frame.
    Raises problems.CohortError for an unfit cohort, PaintingError for a rater, clip or frame that it cannot
    be.
    """

    _esm = assets.module("brush.js")
    _css = assets.style("brush.css")

    def __init__(
        self,
        cohort_folder: str | Path,
        rater: str = "",
        runs_folder: str | Path | None = None,
        clip_id: str = "",
        frame: int = -1,
    ):
        super().__init__()
        self.cohort = cohorts.read(cohort_folder, look=False)
        self.arms = arm_maps.open_runs(runs_folder or self.cohort.folder / "no runs", self.cohort)
        self.rater = ""
        self.painting: Painting | None = None
        self.queue = pd.DataFrame(columns=queue.COLUMNS)
        self.saved_at = ""
        self._starts: list[str] = []
        self._first = (clip_id, frame)
        self._picture, self._revision, self._authors = 0, 0, {}
        self._dirty, self._aged, self._timer, self._retired = False, False, None, False
        self._unsaved = ""  # why the last save failed: told to a view that comes later, too
        self._lock = threading.RLock()  # messages, cells and the timer may come in different threads
        if rater.strip():
            self._begin(rater)
        self.on_msg(self._received)
        atexit.register(self.flush)
        self._end_hook = before_cells(self.flush)  # while a cell runs, the kernel may hear nothing

    @property
    def maps(self) -> np.ndarray:
        """The painted frame's maps, uint8 (C, H, W), 255 = 100 %; without a rater of no features."""
        return np.zeros((0, 0, 0), np.uint8) if self.painting is None else self.painting.maps

    def go_to(self, clip_id: str, frame: int) -> None:
        """Save, and go to another frame. Raises PaintingError for one that is not there, or if not saved."""
        with self._lock:
            self.flush(loudly=True)
            self._leave_for(clip_id, frame)

    def _leave_for(self, clip_id: str, frame: int) -> None:
        other = painting.read(self.cohort, clip_id, frame, self.rater)
        starts = queue.starts(self.cohort, clip_id, frame, self.rater, self.arms)
        self.painting, self._starts = other, starts
        self._picture, self._revision, self._authors = self._picture + 1, 0, {}
        self._unsaved = ""
        self._show("")

    def flush(self, loudly: bool = False) -> None:
        """Save what is not saved yet. Where that cannot be, the view says so; `loudly`: it is raised too."""
        if sys.is_finalizing():  # atexit has saved; now nothing can be opened, and no thread starts
            return
        with self._lock:
            self._stop_waiting()
            if (self._dirty or self._aged) and self.painting is not None and not self._retired:
                self._save(loudly)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _save(self, loudly: bool) -> None:
        try:
            self.saved_at = painting.save(self.cohort, self.painting)
        except Exception as error:  # refused, or a disk that is full, a table that somebody damaged
            self._unsaved = f"Not saved: {error}"
            self._say("unsaved", text=self._unsaved)
            if not isinstance(error, PaintingError):
                self._soon(LATER)
            if loudly:
                raise NotSaved(f"not saved: {error}") from error
            return
        self._dirty, self._aged, self._unsaved = False, False, ""
        own = (self.queue["clip_id"] == self.painting.clip_id) & (self.queue["frame"] == self.painting.frame)
        self.queue.loc[own, "painted"] = bool(self.painting.looked.any())
        self._say("saved", at=self.saved_at, revision=self._revision, picture=self._picture)

    def close(self) -> None:
        """Save, and take the widget away."""
        self.flush()
        atexit.unregister(self.flush)
        self._end_hook()
        if _painting_now.get(key := (self.cohort.folder.resolve(), self.rater)) is self:
            del _painting_now[key]
        super().close()

    def __del__(self) -> None:
        """Nothing: close() and the end of the kernel save, not the collection of garbage, at any moment."""

    def _begin(self, rater: str) -> None:
        name = painting.claim(self.cohort, rater)
        key = (self.cohort.folder.resolve(), name)
        earlier = _painting_now.get(key)
        if earlier is not None and not earlier._retire():
            raise PaintingError(
                f"rater: the brush of {name} that is open could not save what is painted on clip "
                f"{earlier.painting.clip_id}; correct it there, or give it up (brush.drop())."
            )
        self.rater = name
        _painting_now[key] = self
        self.queue = queue.queue(self.cohort, self.rater, self.arms)
        self.go_to(*self._place(*self._first))

    def _place(self, clip_id: str, frame: int) -> tuple[str, int]:
        """Where to start: as asked for, where this rater painted last, or the queue's first (of a clip)."""
        done = painting.painted(self.cohort)
        done = done[(done["rater"] == self.rater) & done["clip_id"].isin(self.queue["clip_id"])]
        if not clip_id and len(done):
            return done["clip_id"].iloc[-1], int(done["frame"].iloc[-1])
        rows = self.queue[self.queue["clip_id"] == clip_id] if clip_id else self.queue
        if rows.empty:
            return clip_id, max(0, frame)
        return rows["clip_id"].iloc[0], int(rows["frame"].iloc[0]) if frame < 0 else frame

    def drop(self) -> None:
        """Give up what could not be saved: back to what the cohort has of this frame."""
        with self._lock:
            self._stop_waiting()
            self._dirty = self._aged = False
            self._leave_for(self.painting.clip_id, self.painting.frame)

    def _retire(self) -> bool:
        """Save once more, and never again: what the other brush paints is newer. False where it cannot."""
        with self._lock:
            self.flush()
            if self._dirty:
                return False
            self._stop_waiting()
            self._retired = True
        self._say("retired", text=RETIRED)
        return True

    def _received(self, _: object, content: Mapping, buffers: Sequence) -> None:
        """Follow one message of a view; whatever it is, nothing is raised into the kernel."""
        with self._lock:
            self._answer(*messages.address(content), content, buffers)

    def _answer(self, view: str, sequence: int, content: Mapping, buffers: Sequence) -> None:
        ok = False
        try:
            self._follow(view, content, buffers)
            ok = True
        except NotSaved:
            pass  # `unsaved` has said it, and is taken back by `saved`
        except (MessageError, PaintingError) as error:
            self._say("refused", text=str(error), to=view)
        except Exception as error:  # a file that is gone, a disk that is full: the view must hear of it
            self._say("refused", text=f"Not done: {type(error).__name__}: {error}", to=view)
        told = {} if self.painting is None else {"looked": [bool(on) for on in self.painting.looked]}
        self._say("got", view=view, sequence=sequence, ok=ok, revision=self._revision, **told)

    def _follow(self, view: str, content: Mapping, buffers: Sequence) -> None:
        kind = content.get("type")
        if self._retired:
            raise MessageError(RETIRED)
        if kind == "ready":
            self._hello(view)
        elif kind == "rater" and self.painting is None:
            self._begin(messages.word(content, "name"))
            self._hello("")
        elif self.painting is None:
            raise MessageError("message: expected the rater's name first; give it.")
        elif kind in HANDLERS:
            self._spent(messages.seconds(content))
            HANDLERS[kind](self, view, content, buffers)
        else:
            raise MessageError(f"message: expected {', '.join(HANDLERS)}, got {str(kind)[:40]!r}.")

    def _patch(self, view: str, content: Mapping, buffers: Sequence) -> None:
        change = messages.patch(content, buffers, self.painting.maps.shape)
        others = max((r for author, r in self._authors.items() if author != view), default=0)
        if change.picture != self._picture or change.revision < others:
            raise MessageError("Painted elsewhere meanwhile: your last stroke was not taken.")
        if change.source not in {self.painting.started_from, *self._starts}:
            raise MessageError(f"message: expected a source of this frame, got {change.source!r}.")
        messages.put(self.painting, change)
        self._revision += 1
        self._authors[view] = self._revision
        self._changed()

    def _spent(self, seconds: float) -> None:
        """Time goes with what is painted: where nothing is, there is nothing to save."""
        self.painting.seconds += seconds
        self._aged = self._aged or (seconds > 0 and bool(self.painting.looked.any()))

    def _changed(self) -> None:
        self._dirty = True
        self._soon(SOON)

    def _soon(self, seconds: float) -> None:
        """Save then, in a thread of its own: while a cell runs, the kernel's loop stands still."""
        if self._timer is None:
            self._timer = threading.Timer(seconds, contextvars.copy_context().run, [self.flush])
            self._timer.daemon = True  # at the end of the kernel atexit saves
            self._timer.start()

    def _open(self, view: str, content: Mapping, _: Sequence) -> None:
        self.go_to(messages.word(content, "clip_id"), messages.number(content, "frame", 0, 2**31))

    def _look(self, view: str, content: Mapping, _: Sequence) -> None:
        frames = arrays.clip(self.cohort, self.painting.clip_id)
        frame = messages.number(content, "frame", 0, len(frames) - 1)
        self._say("frame", to=view, picture=self._picture, frame=frame, buffers=[frames[frame].tobytes()])

    def _start(self, view: str, content: Mapping, _: Sequence) -> None:
        """Send another start to the view, which paints it as one step that can be undone."""
        source, now = messages.word(content, "source"), self.painting
        if source not in self._starts:
            raise MessageError(f"start from: expected {', '.join(self._starts)}, got {source!r}; choose one.")
        maps, looked = queue.start(self.cohort, now.clip_id, now.frame, source, self.arms)
        told = {"picture": self._picture, "source": source, "looked": [bool(on) for on in looked]}
        self._say("start", to=view, **told, buffers=[one.tobytes() for one in maps])

    def _now(self, *_: object) -> None:
        self.flush(loudly=True)

    def _drop(self, *_: object) -> None:
        self.drop()

    def _again(self, view: str, content: Mapping, _: Sequence) -> None:
        self._show(view)

    def _nothing(self, *_: object) -> None:
        """Only the time spent, which every message carries."""

    def _hello(self, view: str) -> None:
        """Tell a view all that it shows."""
        about = messages.hello(self.cohort, self.rater, self.queue)
        self._say("hello", to=view, note=self.arms.note, **about)
        if self.painting is not None:
            self._show(view)

    def _show(self, view: str) -> None:
        """Send the picture and its layers; "" is every view."""
        now = self.painting
        grey = arrays.clip(self.cohort, now.clip_id)[now.frame]
        state = {"picture": self._picture, "revision": self._revision, "seconds": now.seconds}
        told = {"starts": self._starts, "saved": self.saved_at, "dirty": self._dirty}
        told["unsaved"] = self._unsaved
        told["odd"] = painting.odd(self.cohort, now.clip_id, now.frame)
        about = messages.picture(self.cohort, now)
        pixels = [np.ascontiguousarray(one).tobytes() for one in (grey, *now.maps)]
        self._say("picture", to=view, **state, **told, **about, buffers=pixels)

    def _say(self, kind: str, buffers: Sequence[bytes] | None = None, **content: object) -> None:
        self.send({"type": kind, **content}, buffers)


HANDLERS = {
    "patch": Brush._patch,
    "open": Brush._open,
    "look": Brush._look,
    "start": Brush._start,
    "save": Brush._now,
    "drop": Brush._drop,
    "again": Brush._again,
    "seconds": Brush._nothing,
}
