"""The one order of averages of a segmentation: for every score, its interval and its test.

Images -> each patient's mean of a feature -> each patient's mean over the features that it has -> mean over
patients. Only what is of one feature (Figure 3) and the paper's plain macro average are taken otherwise, and
say so.
"""

import pandas as pd

IOU = "iou"  # the primary IoU: label-non-empty images
PLAIN = ("iou_plain", "iou_plain_fixed")


def patient_means(metrics: pd.DataFrame, patients: list[str]) -> pd.DataFrame:
    """Tidy metrics averaged over the images of each of some patients, per arm, feature and metric.

    Blank values (a metric that is not defined for an image) do not count. Columns: arm, metric, feature,
    patient_id, value, images (how many counted). Seeds and folds are averaged.
    """
    chosen = metrics[metrics["patient_id"].isin(patients)].dropna(subset="value")
    groups = chosen.groupby(["arm", "metric", "feature", "patient_id"], sort=False)["value"]
    return groups.agg(value="mean", images="count").reset_index()


def over_features(images: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Images -> each patient's mean per feature -> each patient's mean over the features it has.

    images: `by`, patient_id, feature, value. Columns: `by`, patient_id, value. Blank values do not count.
    """
    per_feature = images.groupby([*by, "patient_id", "feature"], sort=False)["value"].mean()
    return per_feature.groupby([*by, "patient_id"], sort=False).mean().reset_index()


def feature_means(metrics: pd.DataFrame, patients: list[str]) -> pd.DataFrame:
    """Metrics per arm and feature: mean over patients of their means over images, with the counts of both."""
    means = patient_means(metrics, patients).groupby(["arm", "metric", "feature"], sort=False)
    table = means.agg(value=("value", "mean"), images=("images", "sum"), patients=("value", "count"))
    return table.reset_index()


def patient_scores(images: pd.DataFrame, patients: list[str]) -> pd.DataFrame:
    """Each patient's mean over features of the means over images: arm, metric, patient_id, value.

    images: tidy scores, as from arms.images. One row an arm, metric and patient; seeds are averaged.
    """
    chosen = images[images["patient_id"].isin(patients)].dropna(subset="value")
    return over_features(chosen, ["arm", "metric"])


def macro(metrics: pd.DataFrame, patients: list[str]) -> pd.DataFrame:
    """One row an arm and one column a metric: the mean over patients of `patient_scores`.

    The metrics of PLAIN alone are the mean over features of the plain mean over images, as a macro average
    over a test set counts them.
    """
    by_patient = patient_scores(metrics, patients)
    plain = metrics[metrics["patient_id"].isin(patients) & metrics["metric"].isin(PLAIN)]
    plain = plain.groupby(["arm", "metric", "feature"], sort=False)["value"].mean().dropna().reset_index()
    rows = pd.concat([by_patient[~by_patient["metric"].isin(PLAIN)], plain], ignore_index=True)
    return rows.pivot_table(index="arm", columns="metric", values="value", aggfunc="mean", sort=False)
