"""What arms say about patients, beside what is true, and the way from a patient to that patient's clips."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import anywidget
import traitlets

from lusnb.cohort.cohort import Cohort
from lusnb.params import ParameterError
from lusnb.study import profile
from lusnb.widgets import advice, assets, explorer_data


class Outcomes(anywidget.AnyWidget):
    """Predictions of the finished tasks, patient by patient.

    patient: the one that is chosen, kept here so that it survives a reload of the page. arms: names in the
    order that their colours have elsewhere; others follow. cross_fitted: the arms held everybody out once.
    """

    _esm = assets.module("outcomes.js")
    _css = assets.style("explorer.css")

    patient = traitlets.Unicode("").tag(sync=True)

    def __init__(
        self,
        cohort: Cohort,
        runs_folder: Path,
        profile: str,
        arms: Iterable[str] = (),
        cross_fitted: bool = False,
        **traits: object,
    ):
        self.cohort, self.runs_folder, self.profile = cohort, Path(runs_folder), profile
        self.arms, self.cross_fitted = tuple(arms), cross_fitted
        self._openers: list[Callable[[str, str], None]] = []
        super().__init__(**traits)
        self.on_msg(self._hear)

    def on_open(self, opener: Callable[[str, str], None]) -> None:
        """Call opener(patient_id, clip_id) when somebody asks for a patient's clip."""
        self._openers.append(opener)

    def everything(self) -> dict:
        """All that a view shows: tasks (task -> rows of explorer_data.outcomes_of), cards (their words), arms
        (name, colour), patients, clips (clip_id -> day and view), split (whether the published split
        plays a part), note ("" or what is left out), advice ("" or why there is nothing)."""
        tasks, note = explorer_data.outcomes_of(self.runs_folder, self.cohort.sf_max, self._left_out())
        places = (self.cohort.folder, self.runs_folder, self.profile)
        told = list(dict.fromkeys(arm for table in tasks.values() for arm in table["arm"]))
        colours = explorer_data.arm_colours([*self.arms, *told])
        clips = explorer_data.plain(self.cohort.clips[["clip_id", "day", "view"]])
        return {
            "tasks": {task: explorer_data.plain(table) for task, table in tasks.items()},
            "cards": explorer_data.cards(tasks),
            "arms": [{"name": arm, "colour": c} for arm, c in colours.items() if arm in told],
            "patients": explorer_data.patients_card(self.cohort),
            "clips": {clip["clip_id"]: clip for clip in clips},
            "split": not self.cross_fitted and explorer_data.follows_split(tasks, self.cohort),
            "note": note if tasks else "",
            "advice": "" if tasks else note or advice.no_task(*places),
        }

    def _left_out(self) -> set[str]:
        """The arms of the profile that no longer go on to the tasks: what they left is of another study."""
        try:
            study = profile.load(self.profile)
        except (ParameterError, FileNotFoundError):
            return set()
        return set(study.arms) - set(study.arms_on_tasks)

    def _hear(self, _: object, content: Mapping, __: list) -> None:
        if content["type"] == "ready":
            self.send({**self.everything(), "id": content.get("id")})
        elif content["type"] == "open":
            self._open(content["clip_id"])

    def _open(self, clip_id: str) -> None:
        found = self.cohort.clips.set_index("clip_id")["patient_id"]
        for opener in self._openers if clip_id in found else []:
            opener(found[clip_id], clip_id)
