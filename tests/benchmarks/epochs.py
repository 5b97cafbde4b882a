"""Does the rule that chooses the epoch change the ranking of arms by itself? One training an arm, two rules.

    python -m tests.benchmarks.epochs [--profile quick] [--seed 0]

On the profile's own cohort and parameters, every epoch kept. One rule takes the epoch with the highest pooled
IoU at its best cut (segment/cuts.py), the other that with the highest IoU at 0.5 over label-non-empty images,
as published. Both networks are then cut at their own validation cut and held against the truth of the
held-out patients: the arms' scores under both rules, and how their orders agree.
"""

import argparse

import numpy as np
import pandas as pd
import torch
from scipy.stats import kendalltau

from lusnb import confidence
from lusnb.cohort import arrays, splits
from lusnb.cohort import cohort as cohorts
from lusnb.params import Params
from lusnb.segment import averages, cuts, fitting, frames, metrics, predictions, segmenter
from lusnb.study import matrix, places, profile

RULES = {"pooled IoU at its best cut": "validation_iou", "IoU at 0.5": "at_half"}


class Watched(segmenter.Segmenter):
    """A segmenter that also logs the published rule's score, and keeps the weights of every epoch."""

    def on_validation_epoch_start(self) -> None:
        super().on_validation_epoch_start()
        self.at_half = []
        self.states = getattr(self, "states", [])

    def validation_step(self, batch: tuple, index: int) -> None:
        super().validation_step(batch, index)
        images, levels, known = batch
        drawn = cuts.quantise(self.network(segmenter.as_input(images))) >= predictions.CUT
        y = confidence.targets(levels.float() / 255, self.p.label_threshold)
        self.at_half.append(torch.where(known, metrics.labelled_iou(drawn, y), torch.nan))

    def on_validation_epoch_end(self) -> None:
        super().on_validation_epoch_end()
        self.log("at_half", torch.cat(self.at_half).nanmean(1).nanmean())
        self.states.append({k: v.clone() for k, v in self.network.state_dict().items()})


def truth_iou(network: torch.nn.Module, data: frames.Labelled, truth: tuple, roles: dict, p: Params) -> float:
    """IoU against the truth at the own cut, held-out patients, in the order of segment/averages.py."""
    where, test = data.of(roles["validation"]), data.of(roles["test"])
    levels = cuts.quantise(segmenter.predict(network, data.images[where], p.batch))
    y = confidence.targets(data.confidence[where].float() / 255, p.label_threshold)
    cut, _ = cuts.best(cuts.counts(levels, y, data.known[where]))
    drawn = cuts.quantise(segmenter.predict(network, data.images[test], p.batch)) >= cut
    scores = metrics.labelled_iou(drawn, truth[0][test]).masked_fill(~truth[1][test], torch.nan)
    rows = data.table.iloc[test][["patient_id", "clip_id", "frame"]].reset_index(drop=True)
    parts = [rows.assign(arm=p.arm, metric="iou", feature=k, value=v) for k, v in enumerate(scores.T.numpy())]
    return averages.macro(pd.concat(parts), roles["test"]).at[p.arm, "iou"]


def of_arm(cohort: cohorts.Cohort, p: Params) -> dict[str, float]:
    """One arm's score under each rule, and the epoch that each takes."""
    roles = splits.roles(cohort.patients, p.fold, p.protocol)
    data = frames.load(cohort, p, roles["train"])
    maps, known = arrays.confidence_of(cohort, data.table, p.size, source="truth")
    module = Watched(segmenter.build(p, len(cohort.features)), p)
    history = fitting.fit(
        module, *segmenter._loaders(data, roles, p), epochs=p.epochs, precision=p.precision,
        monitor="validation_iou", highest=True,
    )  # fmt: skip
    found = {"arm": p.arm}
    for rule, column in RULES.items():
        epoch = int(np.flatnonzero(history[column] == history[column].max())[-1])  # of a tie the later
        module.network.load_state_dict(module.states[epoch])
        truth = torch.from_numpy(maps) > 0, torch.tensor(known)
        found |= {rule: truth_iou(module.network, data, truth, roles, p), f"epoch, {rule}": epoch}
    return found


def main() -> None:
    """Print the arms' scores under both rules, and Kendall's tau of their orders."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--profile", default="quick")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    base, rows = places.root(), []
    for node in profile.nodes(profile.load(asked.profile, base)):
        if node.notebook == matrix.NOTEBOOKS["train"] and not dict(node.identity).get("inner"):
            p = Params(node.notebook, {**profile.parameters(node, base), "seed": asked.seed})
            cohort = cohorts.read(base / "data" / p.cohort, profile.load(asked.profile, base).folds)
            rows.append(of_arm(cohort, p))
            print(rows[-1], flush=True)
    table = pd.DataFrame(rows).set_index("arm")
    print(table.round(4).to_string())
    print(f"Kendall's tau of the two orders: {kendalltau(*(table[rule] for rule in RULES)).statistic:.3f}")


if __name__ == "__main__":
    main()
