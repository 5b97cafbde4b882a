"""The threshold explorer: one clip, its labels and an arm's predictions, thresholds turned in the browser.

The widget hands over bytes and finished tables; what a threshold does to them is computed in the page.
"""

from collections.abc import Mapping
from pathlib import Path

import anywidget
import ipywidgets
import numpy as np
import traitlets

from lusnb.cohort import cohort as cohorts
from lusnb.cohort.cohort import Cohort
from lusnb.widgets import advice, arm_maps, assets, explorer_data
from lusnb.widgets import curves as widgets_curves
from lusnb.widgets.patients import Outcomes

PIECE = 4 * 2**20  # bytes of pixels a message; a message over 10 MB may be refused on the way
KEPT = 4  # arrays kept at hand, so that the next piece of one is not read again


class Explorer(anywidget.AnyWidget):
    """One clip of a cohort, and what finished runs say about it.

    What is chosen survives a reload of the page, since it is kept here: clip_id, patient (the text by which
    clips are filtered), frame, threshold (of labels, per cent), output (of predictions, per cent; -1: each
    arm's own validation cut, which holds until the slider is moved), source (whose confidence), arm ("" or
    '<arm> seed <k>'), shown ('labels', 'prediction' or 'errors').
    """

    _esm = assets.module("explorer.js")
    _css = assets.style("explorer.css")

    clip_id = traitlets.Unicode("").tag(sync=True)
    patient = traitlets.Unicode("").tag(sync=True)
    frame = traitlets.Int(-1).tag(sync=True)  # -1: the clip's first labelled frame
    threshold = traitlets.Int(50).tag(sync=True)
    output = traitlets.Int(-1).tag(sync=True)  # -1: each arm's own cut
    source = traitlets.Unicode("").tag(sync=True)
    arm = traitlets.Unicode("").tag(sync=True)
    shown = traitlets.Unicode("labels").tag(sync=True)

    def __init__(self, cohort: Cohort, runs_folder: Path, profile: str, **traits: object):
        self.cohort, self.runs_folder, self.profile = cohort, Path(runs_folder), profile
        self.arm_maps = arm_maps.open_runs(runs_folder, cohort)
        self._arrays: dict[str, np.ndarray] = {}
        first = cohort.clips["clip_id"].iloc[0] if len(cohort.clips) else ""
        super().__init__(**{"clip_id": first, **traits})
        self.on_msg(self._hear)

    def _hear(self, _: object, content: Mapping, __: list) -> None:
        """Answer one question of one view; `id` says whose it was."""
        try:
            reply, buffers = self.answer(content)
        except KeyError as error:
            reply, buffers = {"error": f"Not found: {error}. Did files change? Then {advice.AGAIN}."}, []
        except (ValueError, OSError) as error:
            reply, buffers = {"error": str(error)}, []
        self.send({**reply, "id": content.get("id")}, buffers)

    def answer(self, content: Mapping) -> tuple[dict, list]:
        """The answer to a question, and its buffers. content: type, and what it asks for.

        'ready': everything but pixels; 'clip': one clip's card; 'arm': what an arm predicted of it; 'bytes':
        a piece of pixels, from byte `start` on. Raises ValueError for another type.
        """
        match content["type"]:
            case "ready":
                return self._everything(), []
            case "clip":
                return {"card": explorer_data.clip_card(self.cohort, content["clip_id"])}, []
            case "arm":
                asked = (content[name] for name in ("arm", "seed", "clip_id"))
                return {"card": explorer_data.arm_card(self.arm_maps, *asked)}, []
            case "bytes":
                return self._piece(content["what"], int(content["start"]))
        raise ValueError(f"type: expected ready, clip, arm or bytes, got {content['type']!r}")

    def _everything(self) -> dict:
        names = self.arm_maps.names
        places = (self.cohort.folder, self.runs_folder, self.profile)
        remedy = advice.remedy(*places)
        if not names and remedy != advice.command(self.profile):
            remedy = "see above"  # the advice, at length
        curves = widgets_curves.curves(self.runs_folder, self.cohort, remedy)
        return {
            "catalogue": explorer_data.catalogue(self.cohort),
            "arms": [{"key": f"{arm} seed {seed}", "arm": arm, "seed": seed} for arm, seed in names],
            "note": self.arm_maps.note,
            "curves": curves,
            "colours": explorer_data.arm_colours(
                [arm for arm, _ in names] + [*curves["iou"], *curves["iou_fixed"]]
            ),
            "split": not self.arm_maps.cross_fitted,  # whether the published split plays a part
            "advice": "" if names or self.arm_maps.note else advice.no_segmenter(*places),
        }

    def _piece(self, what: Mapping, start: int) -> tuple[dict, list]:
        key = repr(sorted(what.items()))
        if key not in self._arrays:
            found = explorer_data.pixels(self.cohort, self.arm_maps, what)
            self._arrays = dict([*self._arrays.items(), (key, found)][-KEPT:])
        array = self._arrays[key]
        piece = array.reshape(-1)[start : start + PIECE]
        return {"shape": array.shape, "start": start, "total": array.size}, [piece.tobytes()]


def show(p: Mapping) -> ipywidgets.Widget:
    """The explorer and, on a second page, the outcomes of patients; one sentence where there is no cohort.

    p: profile, cohort, cohort_folder, runs_folder (advice.places). Raises problems.CohortError where the
    cohort's tables are unfit.
    """
    cohort_folder, runs_folder = advice.places(p)
    if told := advice.no_cohort(cohort_folder, p):
        return ipywidgets.Label(told)
    cohort = cohorts.read(cohort_folder, look=False)
    explorer = Explorer(cohort, runs_folder, p["profile"])
    arms = [arm for arm, _ in explorer.arm_maps.names]
    patients = Outcomes(cohort, runs_folder, p["profile"], arms, explorer.arm_maps.cross_fitted)
    pages = ipywidgets.Tab([explorer, patients], titles=["One clip", "Patients"])

    def open_clip(patient_id: str, clip_id: str) -> None:
        explorer.patient, explorer.clip_id, explorer.frame = patient_id, clip_id, -1
        pages.selected_index = 0

    patients.on_open(open_clip)
    return pages
