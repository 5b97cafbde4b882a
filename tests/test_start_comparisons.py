"""What is said of start weights: who is tested by whom, and how differences are told; worked by hand."""

import numpy as np
import pandas as pd
import pytest

from tests.benchmarks import hidden, starts


def test_patients_are_dealt_out_and_one_patients_frames_cut_into_stretches():
    several = pd.DataFrame({"patient_id": ["A", "A", "B", "C", "D", "D"]})
    assert starts.groups(several, 3).tolist() == [0, 0, 1, 2, 0, 0]
    alone = pd.DataFrame({"patient_id": ["A"] * 7})
    assert starts.groups(alone, 3).tolist() == [0, 0, 0, 1, 1, 2, 2]


def values(gain: float) -> dict[str, pd.Series]:
    """Eight units that gain so much on average, each something."""
    nothing = pd.Series(np.linspace(0.1, 0.45, 8))
    return {"net, nothing": nothing, "net, phantoms": nothing + gain * np.linspace(0.8, 1.2, 8)}


def test_p_are_corrected_over_the_table_and_frames_of_one_clip_have_none():
    rows = [*starts.compared(values(0.1), "patients"), *starts.compared(values(0.2), "images")]
    rows += starts.compared(values(0.3), starts.FRAMES)
    table = starts.told(pd.DataFrame([{"on": "x", "of": "IoU", **row} for row in rows]))
    assert [told.split(" ")[0] for told in table["over nothing"]] == ["", "+0.1", "", "+0.2", "", "+0.3"]
    assert ["[" in told for told in table["over nothing"]] == [False, True, False, True, False, False]
    assert table["p (Holm)"].tolist() == ["", "0.016", "", "0.016", "", ""]  # 2 / 2^8, twice
    assert table["tested"].iloc[-1] == "8 frames of one clip"


def test_the_differences_themselves_are_compared_between_ways_of_training():
    """80 % costs 0.1 after each way but the long one, where it costs 0.3."""
    cost = {"t020": 0.0, "t050": 0.0, "t080": 0.1}
    rows = [
        {
            "arm": f"{t}_{way}",
            "metric": "truth_iou",
            "patient_id": f"P{k}",
            "feature": "b_line",
            "value": value,
        }
        for t, less in cost.items()
        for way in hidden.WAYS
        for k in range(6)
        if (value := 0.5 + 0.01 * k - less * (3 if way == "long" else 1)) is not None
    ]
    each, twice = (
        t.set_index(["arm", "reference"]) for t in hidden.compared(pd.DataFrame(rows), "truth_iou")
    )
    assert each.loc[("t020_long", "t080_long"), "difference"] == pytest.approx(0.3)
    assert each.loc[("t050_phantom", "t080_phantom"), "difference"] == pytest.approx(0.1)
    changed = twice["difference"].round(6).to_dict()
    assert changed == {
        ("t020_phantom less t050_phantom", "t020_long less t050_long"): 0,
        ("t020_phantom less t050_phantom", "t020_short less t050_short"): 0,
        ("t020_phantom less t080_phantom", "t020_long less t080_long"): -0.2,
        ("t020_phantom less t080_phantom", "t020_short less t080_short"): 0,
        ("t050_phantom less t080_phantom", "t050_long less t080_long"): -0.2,
        ("t050_phantom less t080_phantom", "t050_short less t080_short"): 0,
    }
