"""Does a model of S/F beat the training mean where pictures tell of it, and where they do not?

Two kinds of phantom cohorts. In a linked one S/F follows congestion, which the pictures show; in a null one
each course of S/F belongs to a patient picked at random, so that no model can know anything. What is compared
is each test patient's squared error: mean over the patient's days of the squared difference between the mean
of the views' predictions and the truth, in units of S/F divided by its maximum, averaged over folds and
seeds. The training mean's error less the model's, so that above 0 is better than the mean.

The training mean is one for all folds, the mean of theirs (reference.one), as in every comparison of tasks. A
fold's own leaves out the patients on whom the fold's network was chosen, so it would be handicapped.

Two ways to decide that a model beats the mean: the 95 % interval over patients lies above 0 (`beats`), or
the mean difference is above 0 and the two-sided p of the sign-flip test below 0.05 (`flips`). By chance alone
either happens in 2.5 of 100 null cohorts, on the better side. Not so on the other side: a model that learnt
nothing scatters about the mean and so errs more, in truth and not by chance, and beats it more rarely.

All of it is conditional on the fitted models, and the training mean is fitted too: where it misses the test
patients' mean, a model that guesses another constant may err less without knowing anything. The null cohorts
count that in.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from sklearn.isotonic import IsotonicRegression

from lusnb import stats
from lusnb.arms import GRAYSCALE, TRUE_MASKS
from lusnb.cohort.cohort import Cohort
from lusnb.study import matrix

TASK, METRIC, MEAN = "sf_ratio", "mse_mean", "mean"
CONGESTION = "congestion"  # the model that is told the phantom's congestion: what could be known at best
LEVEL = 0.95
NOMINAL = (1 - LEVEL) / 2  # of intervals, or tests at two-sided 1 - LEVEL, on the better side by chance
ROW = ["arm", "model"]
ERRORS = ["cohort", "null", *ROW, "patient_id", "error", "of_mean"]
ANY = "any"  # the row of `rates` over all models of a cohort


# -- what was measured


def kinds(asked: Mapping[str, Mapping]) -> pd.DataFrame:
    """The cohorts of a profile, one row each: cohort, null (bool), link, null ones last.

    asked: all parameters that each cohort was made by. ValueError where one is no phantom, or where it is its
    confidence, not its outcome, that tells nothing.
    """
    rows = []
    for cohort, own in asked.items():
        matrix.check_linked(cohort, own)
        rows.append((cohort, own["null"] == "outcome", float(own["link"])))
    table = pd.DataFrame(rows, columns=["cohort", "null", "link"])
    return table.sort_values("null", kind="stable", ignore_index=True)


def errors(scores: Mapping[str, pd.DataFrame], where: pd.DataFrame) -> pd.DataFrame:
    """Each test patient's squared error, by each model and by the training mean.

    scores: each cohort's task_scores.csv (task, arm, model, seed, fold, split, patient_id, metric, value);
    where: of `kinds`. Where folds were put together (fold 0) only that counts. Columns: cohort, null, arm,
    model, patient_id, error, of_mean (of the training mean). ValueError for a cohort without such scores.
    """
    parts = []
    for own in where.to_dict("records"):
        table = scores[own["cohort"]]
        table = table[(table["task"] == TASK) & (table["split"] == "test")]
        table = table[table["patient_id"].fillna("") != ""]
        table = table[table["fold"] == 0] if (table["fold"] == 0).any() else table
        table = table[table["metric"] == METRIC]
        trivial = table[table["model"] == MEAN].groupby("patient_id")["value"].mean()
        if trivial.empty:
            raise ValueError(
                f"cohort {own['cohort']}: expected {METRIC} of {TASK} of test patients in task_scores.csv, "
                "the training mean among the models, found none; add sf_ratio to tasks."
            )
        measured = table[table["model"] != MEAN].groupby([*ROW, "patient_id"], sort=False)["value"]
        found = measured.mean().rename("error").reset_index()
        found = found.assign(cohort=own["cohort"], null=own["null"])
        found = found.sort_values("model", key=lambda models: models != "tsm", kind="stable")  # TSM first
        parts.append(found.assign(of_mean=found["patient_id"].map(trivial)))
    return pd.concat(parts, ignore_index=True)[ERRORS]


def known(name: str, cohort: Cohort) -> pd.DataFrame:
    """What could be known at best: squared errors in a linked phantom of a model that is told the congestion.

    S/F falls with the mean congestion of the day's views, of scenes.csv (isotonic regression), fitted
    on the patients outside the test split. name: of the cohort. Columns as of `errors`.
    """
    congestion = pd.read_csv(cohort.folder / "scenes.csv").set_index("clip_id")["congestion"]
    patients, clips = cohort.patients, cohort.clips
    table = clips.assign(congestion=clips["clip_id"].map(congestion)).dropna(subset="sf_ratio")
    days = table.groupby(["patient_id", "day"])[["congestion", "sf_ratio"]].mean().reset_index()
    tested = days["patient_id"].isin(patients.loc[patients["split"] == "test", "patient_id"])
    learnt, asked = days[~tested], days[tested]
    model = IsotonicRegression(increasing=False, out_of_bounds="clip")
    told = model.fit(learnt["congestion"], learnt["sf_ratio"]).predict(asked["congestion"])
    asked = asked.assign(
        error=(told - asked["sf_ratio"]) ** 2, of_mean=(learnt["sf_ratio"].mean() - asked["sf_ratio"]) ** 2
    )
    found = asked.groupby("patient_id")[["error", "of_mean"]].mean().reset_index()
    return found.assign(cohort=name, null=False, arm="", model=CONGESTION)[ERRORS]


# -- is it better than the mean?


def compared(found: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Every model of every cohort against the training mean, patient by patient.

    found: of `errors`. Columns: cohort, null, arm, model, patients; error and of_mean (means over patients);
    difference (of_mean less error: above 0 is better) with its interval low, high; saved (the difference
    as a fraction of of_mean); p (two-sided, sign flips), p_better (one-sided); beats, worse (the interval
    lies above, below 0), flips. ValueError under 6 test patients.
    """
    rows = []
    for key, own in found.groupby(ERRORS[:4], sort=False):
        own = own.sort_values("patient_id")
        difference = (own["of_mean"] - own["error"]).to_numpy()
        if len(own) < stats.FEW:
            raise ValueError(
                f"cohort {key[0]}: expected at least {stats.FEW} test patients, got {len(own)}; widen the "
                "test split in 00_cohort.yaml."
            )
        low, high = stats.interval(difference, rng, LEVEL)
        p, mean = stats.sign_flip(difference, rng), difference.mean()
        means = own[["error", "of_mean"]].mean()
        rows.append((*key, len(own), *means, mean, low, high, p, p / 2 if mean > 0 else 1 - p / 2))
    columns = [*ERRORS[:4], "patients", "error", "of_mean", "difference", "low", "high", "p", "p_better"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(
        saved=table["difference"] / table["of_mean"],
        beats=table["low"] > 0,
        worse=table["high"] < 0,
        flips=(table["difference"] > 0) & (table["p"] < 1 - LEVEL),
    )


def rates(table: pd.DataFrame) -> pd.DataFrame:
    """How often each model beats the training mean in the null cohorts, beside the nominal rate.

    table: of `compared`. Columns: arm, model, cohorts; beats (count by the interval), rate, low, high (exact
    binomial, 95 %), nominal, p_more (one-sided: were the rate nominal, as many or more); flips (count by the
    test), worse (count). The last row, model `any`: cohorts in which at least one model flips although p is
    multiplied by the number of models (Bonferroni), as the models of a cohort share its patients; `worse`
    likewise. Empty without null cohorts.
    """
    null = table[table["null"]]
    rows = []
    for key, own in null.groupby(ROW, sort=False):
        rows.append((*key, *_rate(own["beats"]), int(own["flips"].sum()), int(own["worse"].sum())))
    if rows:
        sure = null["p"] * null.groupby("cohort")["p"].transform("size") < 1 - LEVEL
        better, worse = (
            (sure & way).groupby(null["cohort"], sort=False).any()
            for way in (null["difference"] > 0, null["difference"] < 0)
        )
        rows.append(("", ANY, *_rate(better), int(better.sum()), int(worse.sum())))
    columns = [*ROW, "cohorts", "beats", "rate", "low", "high", "nominal", "p_more", "flips", "worse"]
    return pd.DataFrame(rows, columns=columns)


def _rate(happened: pd.Series) -> tuple[int, int, float, float, float, float, float]:
    count, n = int(happened.sum()), len(happened)
    limits = binomtest(count, n).proportion_ci(LEVEL, method="exact")
    more = binomtest(count, n, NOMINAL, alternative="greater").pvalue
    return (n, count, count / n, limits.low, limits.high, NOMINAL, more)


# -- in words


def title(arm: str, model: str) -> str:
    """A model in words: what it is and what it sees."""
    if model in (CONGESTION, ANY):
        return {CONGESTION: "congestion known", ANY: "any of them"}[model]
    seen = {GRAYSCALE: "grayscale alone", TRUE_MASKS: "true masks"}.get(arm, f"masks of {arm}")
    return f"{'TSM' if model == 'tsm' else model}, {seen}"


def told(table: pd.DataFrame, counted: pd.DataFrame) -> str:
    """What the cohorts show, a sentence a line, all of it computed.

    table: of `compared`; counted: of `rates`.
    """
    return "\n".join([*_on_linked(table[~table["null"]]), *_on_null(table[table["null"]], counted)])


def _span(values: pd.Series, form: str = ".0f", unit: str = "") -> str:
    low, high = format(values.min(), form), format(values.max(), form)
    return f"{low}{unit}" if low == high else f"{low} to {high}{unit}"


def _on_linked(table: pd.DataFrame) -> list[str]:
    if table.empty:
        return ["No cohort with a link: nothing shows that these models could have found one."]
    lines = [f"Linked: {table['cohort'].nunique()} cohorts of {_span(table['patients'])} test patients."]
    for key, own in table.groupby(ROW, sort=False):
        saved, least = _span(100 * own["saved"], unit=" %"), (own["low"] / own["of_mean"]).min()
        lines.append(
            f"{title(*key)}: squared error {saved} below the training mean's; the interval of the difference "
            f"lies above zero in {own['beats'].sum()} of {len(own)} cohorts, with its lowest end at "
            f"{100 * least:.0f} %."
        )
    return lines


def _on_null(table: pd.DataFrame, counted: pd.DataFrame) -> list[str]:
    if table.empty:
        return ["No null cohort: how often a model beats the mean by chance alone is not shown."]
    models, n = counted[counted["model"] != ANY], int(counted["cohorts"].max())
    expected = f"{100 * NOMINAL:g} % would be {NOMINAL * n:.1f} of {n}"
    lines = [f"Null: {n} cohorts of {_span(table['patients'])} test patients; {expected}."]
    for row in models.itertuples():
        lines.append(
            f"{title(row.arm, row.model)}: beats the mean in {row.beats} of {row.cohorts} (95 % interval of "
            f"the rate {100 * row.low:.0f} to {100 * row.high:.0f} %), by the sign-flip test in {row.flips}; "
            f"worse than it in {row.worse}."
        )
    least = counted[counted["model"] == ANY].iloc[0]
    often = counted[counted["p_more"] < 1 - LEVEL]
    lines.append(
        f"At least one model beats it, Bonferroni over the models, in {least.beats} of {least.cohorts} "
        f"({100 * least.low:.0f} to {100 * least.high:.0f} %)."
    )
    return [
        *lines,
        f"More often than {100 * NOMINAL:g} % allows: "
        + (", ".join(title(r.arm, r.model) for r in often.itertuples()) or "none")
        + f". In {n} cohorts that would take {_needed(n)}; rarer excess is not ruled out.",
    ]


def _needed(n: int) -> int:
    """The least count of n that is more than the nominal rate allows (one-sided p below 0.05)."""
    return next(
        k for k in range(n + 2) if k > n or binomtest(k, n, NOMINAL, alternative="greater").pvalue < 1 - LEVEL
    )
