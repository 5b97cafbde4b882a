"""Every p and interval that the package prints or stores: what it claims, and which studies try it."""

INVENTORY = [
    f"{where}: {what}. {claims} Tried by: {tried}."
    for where, what, claims, tried in (
        (
            "`stats.compare_pairs`, `stats.compare`", "`p`, `p_holm`",
            "Two-sided paired sign-flip test over patients; Holm over the pairs. The models are given.",
            "Arms alike, the models given",
        ),
        (
            "`stats.compare_pairs`, `stats.interval`", "`low`, `high`",
            "95 %, the mean over patients: what the sign-flip test does not reject. Not corrected.",
            "Coverage of the mean; arms alike (leaves out 0)",
        ),
        (
            "`stats.retrained`", "p",
            "Two-sided: retrained arms, other patients. t over folds, or trainings crossed with patients.",
            "Arms alike, retrained",
        ),
        (
            "`arms.differences` (04)", "`p`, `p_holm`, interval",
            "`stats.compare_pairs`, Holm within a metric.", "The same through the tables of 04 and 08",
        ),
        (
            "`arms.intervals` (04)", "`low`, `high`", "`stats.interval` of an arm's score.",
            "Coverage of the mean: IoU of an arm",
        ),
        (
            "`tasks.differences` (08)", "`p`, `p_holm`, interval, `p_retrained`",
            "`stats.compare_pairs`, Holm within a task, the models given; `stats.retrained`, Holm too.",
            "The same through the tables of 04 and 08; folds that share a model",
        ),
        (
            "`tasks.against_baselines` (08)", "`p`, `p_holm`, interval",
            "`stats.compare_pairs` against the training mean or majority, and against TSM without masks.",
            "Models that know nothing, against the training mean or the majority",
        ),
        (
            "`task_tables.main` (Tables 2 to 4)", "`<score>_low`, `_high`",
            "`stats.interval` of a task's leading score (for an RMSE its root); the models given.",
            "Coverage of the leading scores",
        ),
        (
            "`linked.compared` (13)", "`p`, `p_better`, interval, `beats`, `flips`, `worse`",
            "A model against the training mean, over test patients; 2.5 % each way.",
            "Models that know nothing, against the mean",
        ),
        (
            "`linked.rates` (13)", "`low`, `high`, `p_more`",
            "Exact binomial over cohorts, 95 %; one-sided p of a rate above nominal.",
            "Coverage of a rate over cohorts",
        ),
        (
            "`sensitivity.curves` (12)", "`low`, `high`", "`stats.interval` of a threshold's IoU.",
            "Coverage of the mean: IoU of an arm",
        ),
        (
            "`sensitivity.curves`, `winners` (12)", "`frequency`",
            "Bootstrap rank frequency: a description, not a probability.", "Bootstrap rank frequency",
        ),
        (
            "`sensitivity.winners` (12)", "`alike`, `paper_alike`",
            "Sign-flip tests, Holm over all pairs of thresholds of a cell.", "The sweep over raters",
        ),
        (
            "`sensitivity.against`, `winners` (12)", "`cost_p`, `gain_p`, `holds`, intervals",
            "Sign-flip tests, Holm over all thresholds and cells; the winner is chosen on the same patients.",
            "The sweep over raters",
        ),
        (
            "`tables.can_show`, `stats.attainable_p`", "the smallest p",
            "Arithmetic: 2 / 2^patients, or 2 / 10,000 where subsets are drawn.", "tests/test_stats.py",
        ),
    )
]  # fmt: skip
NEITHER = (
    "Without p or interval: SD over folds (retraining on the same patients), limits of agreement (where "
    "single days fall, if normal and independent), the range over seeds, Krippendorff's alpha, Dice with "
    "raters, calibration errors, AUROC and rank correlations, which are single values; and "
    "`stats.patients_needed`, a forecast by the power of the t-test."
)
