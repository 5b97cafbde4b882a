"""What a finished node leaves on disk."""

TRAINED = ("params.yaml", "history.csv", "metrics.csv", "patients.csv")
OUTPUTS = {  # what a finished node leaves, beside `finished`; tables/ and figures/ are shared
    "00_cohort": ("params.yaml", "fingerprint.json", "warnings.csv"),
    "01_explore_data": ("params.yaml",),
    "02_confidence_maps": (
        "params.yaml",
        *(f"{name}.csv" for name in ("kept_area", "thickness", "agreement", "harmonisation", "reliability")),
    ),
    "03_train_segmentation": (
        *TRAINED,
        "model.safetensors",
        *(f"predictions/{name}.npy" for name in ("labelled", "frames", "tempered")),
        "predictions/index.csv",
        "predictions/fingerprint.json",
    ),
    "04_compare_segmentation": tuple(
        f"tables/{name}.csv"
        for name in (
            "segmentation_common",
            "segmentation_ranking",
            "segmentation_intervals",
            "table1_segmentation",
            "iou_by_feature",
            "threshold_matrix",
            "threshold_matrix_fixed",
            "precision_recall",
            "segmentation_differences",
            "reliability",
            "calibration",
            "raters",
            "uncertainty",
        )
    ),
    **{
        notebook: (*TRAINED, "predictions.csv", "coverage.csv", "explained.csv", "drivers.png")
        for notebook in ("05_sf_change", "06_sf_ratio", "07_readmission")
    },
    "08_compare_tasks": tuple(
        f"tables/{name}.csv"
        for name in (
            "table2_sf_change",
            "table3_sf_ratio",
            "table4_readmission",
            "table2b_sf_change",
            "table3b_sf_ratio",
            "table4b_readmission",
            "task_baselines",
            "task_differences",
            "task_patients",
            "task_scores",
        )
    ),
    "12_sensitivity": tuple(f"{name}.csv" for name in ("cells", "winners", "implied", "optima", "features")),
    "13_outcome": ("errors.csv", "compared.csv", "rates.csv", "outcome.png"),
    "09_figures": tuple(
        f"figures/{name}.{ending}"
        for ending in ("pdf", "png", "svg")
        for name in (
            "figure1_thresholds",
            "kept_area",
            "ranking",
            "differences",
            "figure3_iou_by_feature",
            "figure4_predictions",
            "threshold_matrix",
            "threshold_matrix_fixed",
            "precision_recall",
            "reliability",
            "raters",
            "uncertainty",
            "tasks",
            "task_baselines",
            "change_confusion",
            "ratio_agreement",
            "readmission_scores",
        )
    ),
}


def promised(notebook: str) -> list[str]:
    """Every file that a finished run of a notebook leaves, as `Run.path` names it: tables/ and figures/ go to
    the folders that the runs of a cohort share."""
    return list(OUTPUTS.get(notebook, ()))
