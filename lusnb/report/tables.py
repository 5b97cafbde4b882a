"""Tidy tables to the paper's Table 1 in our own layout, and what Tables 1 to 4 share: the published numbers
beside ours, headings, words. The tasks' own are in report/task_tables.py."""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd

from lusnb import files, stats
from lusnb.cohort.problems import counted
from lusnb.segment.averages import IOU, macro, patient_scores

FEW_IMAGES = 10  # with fewer labelled images, of however many patients, all is an example
TABLE1 = {
    "iou": "IoU",
    "iou_fixed": "IoU, cut at 0.5",
    "iou_plain": "IoU, plain macro",
    "iou_plain_fixed": "IoU, plain macro, cut at 0.5",
    "iou_untrained": "IoU, untrained",
    "false_area_mm2": "false area (mm2)",
    "false_area_mm2_fixed": "false area (mm2), cut at 0.5",
    "surface_dice": "surface Dice, 1 mm",
    "surface_dice_fixed": "surface Dice, 1 mm, cut at 0.5",
    "weighted_ce": "weighted CE",
    "reference_ce": "CE, reference weights",
    "ce": "CE, raw c",
    "ce_excess": "CE less entropy",
    "trimap_ce": "trimap CE",
    "trimap_ce_foreground": "trimap CE, foreground",
    "trimap_ce_background": "trimap CE, background",
}
SEGMENTATION = 1  # its table; the tasks' own numbers: tasks/registry.py


def published() -> pd.DataFrame:
    """Tables 1 to 4 of the paper as printed: table, threshold, metric, mean, sd, note."""
    with resources.files("lusnb.report").joinpath("published_tables.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file)


# One order of averages, for every score of a segmentation, its interval and its test: images -> each
# patient's mean of a feature -> each patient's mean over the features that it has -> mean over patients. Only
# what is of one feature (Figure 3) and the paper's plain macro average are taken otherwise, and say so.


def segmentation(metrics: pd.DataFrame, patients: list[str], arms: pd.DataFrame) -> pd.DataFrame:
    """Table 1: one row an arm, our metrics with their counts, and the published values beside them.

    Masks at each arm's own cut, `<metric>_fixed` at 0.5; see `macro` for the order of averages.
    arms: index arm, in the order of the rows; columns threshold (a fraction) and published (bool: one of the
    paper's own arms, beside which the paper's numbers may stand).
    """
    if not metrics["patient_id"].isin(patients).any():
        raise ValueError(
            "Table 1: expected labelled frames of held-out patients, found none; "
            "label some, or change split in patients.csv."
        )
    table = macro(metrics, patients).reindex(index=arms.index, columns=list(TABLE1))
    known = metrics[(metrics["metric"] == IOU) & metrics["patient_id"].isin(patients)].dropna(subset="value")
    counted = known.drop_duplicates(["arm", "clip_id", "frame", "feature"]).groupby("arm").size()
    table.insert(0, "threshold", arms["threshold"])
    table.insert(1, "labels_counted", counted.reindex(table.index).fillna(0).astype(int))
    features = known.groupby("arm")["feature"].nunique()
    table.insert(2, "features_counted", features.reindex(table.index).fillna(0).astype(int))
    table["iou_by_patient"] = _by_patient(metrics, patients).reindex(table.index)
    cuts = metrics[metrics["metric"] == "cut"].groupby("arm")["value"].mean()
    table["cut"] = cuts.reindex(table.index)
    own = arms["published"].reset_index(drop=True)
    return beside_published(table.rename_axis("arm").reset_index(), SEGMENTATION, own)


def _by_patient(metrics: pd.DataFrame, patients: list[str]) -> pd.Series:
    """Each arm's IoU of each patient, mean over features, as text: few patients are shown, not summarised."""
    means = patient_scores(metrics[metrics["metric"] == IOU], patients)
    values = means.groupby(["arm", "patient_id"])["value"].mean()
    return values.groupby("arm").apply(lambda v: "; ".join(f"{p[1]} {x:.3f}" for p, x in v.items()))


def beside_published(table: pd.DataFrame, number: int, own: pd.Series) -> pd.DataFrame:
    """Add the published mean and SD of each row's threshold as `paper_<metric>[_sd]`.

    own: bool, one a row: whether it is an arm of the paper; another arm of the same threshold is not what the
    paper measured. Blank there, where the paper has none, or where its number is impossible (its note says
    so).
    """
    threshold = table["threshold"].where(own.to_numpy(bool))
    printed = published()
    printed = printed[printed["table"] == number].copy()
    printed.loc[printed["note"].fillna("").str.contains("treat as missing"), "sd"] = np.nan
    for metric, rows in printed.groupby("metric", sort=False):
        for column, name in (("mean", f"paper_{metric}"), ("sd", f"paper_{metric}_sd")):
            if rows[column].notna().any():
                table[name] = threshold.map(rows.set_index("threshold")[column])
    return table


def for_paper(table: pd.DataFrame, name: str, leading: Sequence[str]) -> pd.DataFrame:
    """The columns for which a page has room, `readable`: the rows' names, and metrics beside the published.

    table: as `beside_published` leaves it. name: the column of the rows' names. leading: metrics that stay
    though the paper prints none; every other one stays where there is `paper_<metric>`.
    """
    columns = [name]
    for metric in (column for column in table if not column.endswith("_sd")):
        if metric in leading or f"paper_{metric}" in table:
            columns += [f"{metric}{end}" for end in ("", "_sd", "_low", "_high")]
            columns += [f"paper_{metric}", f"paper_{metric}_sd"]
    return readable(table[[column for column in columns if column in table]])


def write_latex(path: Path, table: pd.DataFrame, heading: str) -> None:
    """Write a table as LaTeX (booktabs), with its heading as the caption; numbers to three digits.

    It is as wide as the page's text, whatever that is: lines break within a cell, and names of columns at
    their underscores. The first column, of the rows' names, has a fifth.
    """
    others = max(1, table.shape[1] - 1)
    width = r"p{{\dimexpr {:.4f}\linewidth-2\tabcolsep\relax}}"
    places = width.format(0.2) + width.format(0.8 / others) * others
    caption = heading.replace("_", r"\_").replace("%", r"\%")
    text = rounded(table).to_latex(index=False, escape=True, caption=caption, column_format=places)
    lines = text.replace("±", r"$\pm$").split("\n")
    names = lines.index(r"\toprule") + 1
    lines[names] = lines[names].replace(r"\_", r"\_\allowbreak ")
    lines.insert(names - 2, r"\footnotesize\setlength{\tabcolsep}{3pt}")
    files.write_text(path, "\n".join(lines))


def told_whose(table: pd.DataFrame, cohort: str, origin: str) -> pd.DataFrame:
    """The table with a first column that says which cohort its numbers come from."""
    table = table.copy()
    table.insert(0, "our_cohort", f"{cohort} ({origin})")
    return table


def heading(
    number: int | str, cohort: str, origin: str, patients: int, protocol: str = "", among: str = ""
) -> str:
    """Heading of a table or figure: where its numbers come from, and where they do not.

    protocol: of a clinical task; said where every patient is held out once. among: what is to be said of the
    patients, in brackets behind their number.
    """
    own = f"our runs on the {origin} cohort {cohort}" if origin == "phantom" else f"our runs on {cohort}"
    note = " A phantom is not a patient." if origin == "phantom" else ""
    own = own[0].upper() + own[1:]
    who = counted(patients, "held-out patient") + (f" ({among})" if among else "")
    once = ", each predicted once, by models that never saw them" if protocol == "cross_fitted" else ""
    return f"Table {number}. {own}, {who}{once}.{note} Columns paper_*: as published."


def can_show(patients: int, comparisons: int, images: int | None = None) -> str:
    """What so many held-out patients can and cannot show about so many comparisons, in words.

    Differences are tested patient by patient and corrected by Holm: the smallest p that can come out is what
    the sign-flip test attains, times the number of comparisons: 0 where there is one arm, with nothing beside
    it. images: labelled ones, where these are what is measured.
    """
    who = counted(patients, "held-out patient")
    who += "" if images is None else f", {counted(images, 'labelled image')}"
    if patients < 2:
        return f"{who}: an example, not a result; nothing here tells how an arm does on another patient."
    least = max(stats.attainable_p(patients), 2 / (stats.RESAMPLES + 1))
    if patients < stats.FEW:
        end = "" if images is None else "; images of one patient are not independent"
        return (
            f"{who}: an example, not a result. No p can fall below {least:.3g}, so neither can a difference "
            f"be shown nor that there is none{end}."
        )
    few = images is not None and images < FEW_IMAGES
    said = [f"{who}: an example, not a result" if few else who, _shown(least, comparisons)]
    if patients < stats.UNRELIABLE:
        told = stats.skew_told(patients)
        said.append(told[0].upper() + told[1:])
    return ". ".join(said) + "."


def _shown(least: float, comparisons: int) -> str:
    if not comparisons:
        return "There is one arm, and nothing to compare it with"
    holm = min(1.0, least * comparisons)
    return (
        f"The smallest p is {least:.2g}, corrected for {counted(comparisons, 'comparison')} {holm:.2g}: "
        + ("a large difference can be shown" if holm < 0.05 else "no difference can be shown")
        + ". That two are equal cannot be shown"
    )


def readable(table: pd.DataFrame, digits: int = 3) -> pd.DataFrame:
    """A copy for reading: `metric` becomes mean ± SD where there is `metric_sd`, and is followed by its
    interval in brackets where there are `metric_low` and `metric_high`."""
    shown = rounded(table, digits)
    for column in [c for c in shown if f"{c}_sd" in shown]:
        spread = shown.pop(f"{column}_sd")
        shown[column] = [f"{m} ± {s}" if m and s else m for m, s in zip(shown[column], spread, strict=True)]
    for column in [c for c in shown if f"{c}_low" in shown]:
        limits = zip(shown[column], shown.pop(f"{column}_low"), shown.pop(f"{column}_high"), strict=True)
        shown[column] = [f"{m} [{low}, {high}]" if m and low else m for m, low, high in limits]
    return shown


def rounded(table: pd.DataFrame, digits: int = 3) -> pd.DataFrame:
    """A copy for reading: numbers rounded, blanks left empty."""
    shown = table.copy()
    for column in shown.select_dtypes("number"):
        shown[column] = [
            ("" if np.isnan(v) else f"{v:.{digits}f}".rstrip("0").rstrip(".")) for v in shown[column]
        ]
    return shown
