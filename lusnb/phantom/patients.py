"""Who the clips come from: congestion, oxygen, readmission, views recorded, splits.

Sources
- SF_MAX: 100 % over 0.21 is 476.2, rounded up to 477, as in the paper. S/F in place of P/F: Rice et al.
  2007, Chest 132:410.
- FIO2_LADDER: room air, then nasal cannula at 1 to 6 l/min by the bedside rule of 0.04 a litre, then masks.
- Readmission within 30 days in heart failure, about a quarter: Jencks et al. 2009, N Engl J Med 360:1418;
  40 % here: chosen, as below.
- 42 patients, 466 clips, three days: the paper. Congestion's distribution, its course, the zones' offsets,
  OTHER_NEED, the NEED_ and SPO2_ constants of oxygen, the RISK_ constants of readmission, shares of missing
  views: chosen, so that the ladder of FiO2 is used and saturation stays at what oxygen is titrated to.
"""

import numpy as np
import pandas as pd

from lusnb.cohort import schema

# View -> zone: 1 upper front, 2 side, 3 lower back and side; right and left.
VIEWS = {"R1": 1, "L1": 1, "R2": 2, "L2": 2, "R3": 3, "L3": 3}
# S/F of a healthy person on room air: a saturation of 100 % over 0.21, rounded up: the largest there is.
SF_MAX = float(schema.SF_MAX)
# FiO2 as it is given: room air; nasal cannula at 1 to 6 l/min, 0.04 a litre; then masks and high flow.
FIO2_LADDER = (0.21, 0.24, 0.28, 0.32, 0.36, 0.40, 0.44, 0.50, 0.60)
# Gravity: the lower zones are wetter than the upper front.
ZONE_OFFSET = {1: -0.06, 2: 0.0, 3: 0.07}
# About a quarter of patients with heart failure are readmitted within 30 days; 40 % here, so that a
# handful of test patients holds both classes.
READMISSION_RATE = 0.4
# Need of oxygen that is not congestion: a beta distribution, symmetric about a half. Chosen.
OTHER_NEED = (2.0, 2.0)
# SD of the need at one congestion; the need up to which room air does; how much more takes FiO2 to the last
# step of the ladder. Chosen.
NEED_SD, NEED_ON_AIR, NEED_TO_THE_TOP = 0.04, 0.28, 0.55
# Saturation without any need, what full need takes away in spite of the oxygen given, its SD and its lowest
# recorded, all in per cent. Chosen.
SPO2_AT_REST, SPO2_LOST, SPO2_SD, SPO2_LOWEST = 97.5, 5.0, 1.0, 86
# Risk of readmission: weights of congestion at discharge and of the congestion cleared on the first day, and
# the SD of what is due to neither. Chosen.
RISK_OF_CONGESTION, RISK_OF_CLEARING, RISK_SD = 1.0, -1.5, 0.12
# Share of patients whose day of discharge was recorded, and of the clips made on it.
DISCHARGE_SHARE, DISCHARGE_CLIPS = 0.4, 0.12
# Share of day 0 and day 1 clips whose view is missing on the other day.
SINGLE_SHARE = 0.05


def draw_congestion(rng: np.random.Generator, n_patients: int) -> np.ndarray:
    """Congestion of each patient on days 0, 1 and 2 (discharge), float64 (n_patients, 3) in 0.02 to 1.

    Treatment clears a share of it by each day; in about a quarter of patients it does nothing, or worse.
    """
    admission = np.clip(rng.beta(2.4, 1.7, n_patients), 0.1, 0.98)
    responds = rng.random(n_patients) < 0.75
    first = np.where(responds, rng.uniform(0.15, 0.55, n_patients), rng.uniform(-0.3, 0.05, n_patients))
    later = np.where(responds, rng.uniform(0.2, 0.6, n_patients), rng.uniform(-0.1, 0.2, n_patients))
    next_day = admission * (1 - first)
    return np.clip(np.stack([admission, next_day, next_day * (1 - later)], axis=1), 0.02, 1.0)


def draw_oxygen(rng: np.random.Generator, congestion: np.ndarray, link: float) -> pd.DataFrame:
    """SpO2 (whole per cent), FiO2 (a fraction from the ladder) and their ratio for each value of congestion.

    `link` 0 to 1 says how much of the need for oxygen is congestion; the rest is drawn apart from it. More
    need first lowers the saturation, then oxygen is given, which brings it back in part.
    """
    other = rng.beta(*OTHER_NEED, congestion.shape)
    need = link * congestion + (1 - link) * other + rng.normal(0.0, NEED_SD, congestion.shape)
    last = len(FIO2_LADDER) - 1
    step = np.clip(np.rint(last * (need - NEED_ON_AIR) / NEED_TO_THE_TOP), 0, last).astype(int)
    spo2 = SPO2_AT_REST - SPO2_LOST * need + rng.normal(0.0, SPO2_SD, congestion.shape)
    spo2 = np.clip(np.rint(spo2), SPO2_LOWEST, 100).astype(int)
    fio2 = np.array(FIO2_LADDER)[step]
    return pd.DataFrame({"spo2": spo2, "fio2": fio2, "sf_ratio": np.minimum(spo2 / fio2, SF_MAX)})


def draw_readmission(rng: np.random.Generator, congestion: np.ndarray, link: float) -> np.ndarray:
    """Readmitted within 30 days, int64 0/1 (n_patients,): the wettest who cleared least.

    The share is fixed, so both classes are there as soon as there are two patients.
    """
    n_patients = len(congestion)
    cleared = congestion[:, 0] - congestion[:, 1]
    wet = RISK_OF_CONGESTION * congestion[:, 2] + RISK_OF_CLEARING * cleared
    risk = link * wet + rng.normal(0.0, RISK_SD, n_patients)
    count = int(np.clip(round(READMISSION_RATE * n_patients), 1, max(n_patients - 1, 1)))
    readmitted = np.zeros(n_patients, int)
    readmitted[np.argsort(risk)[::-1][:count]] = 1
    return readmitted


def check_split(split: tuple[int, int, int], n_patients: int, folds: int) -> None:
    """Refuse counts of patients that do not add up, or folds that cannot be filled."""
    if len(split) != 3 or min(split) < 0 or sum(split) != n_patients:
        raise ValueError(
            f"split: expected three counts (train, validation, test) that add up to n_patients={n_patients}, "
            f"got {tuple(split)}; change split or n_patients."
        )
    if not 1 <= folds <= n_patients - split[2]:
        raise ValueError(
            f"folds: expected 1 to {n_patients - split[2]}, the patients outside the test set, got {folds}; "
            "ask for fewer folds or for more patients."
        )


def spread(rng: np.random.Generator, readmitted: np.ndarray, split: tuple[int, int, int], folds: int):
    """Deal patients to splits and folds so that each holds both classes where it can.

    Returns the split of each patient (list of str) and its fold (list of int, None for test patients).
    """
    train, validation, test = split
    order = rng.permutation(len(readmitted))
    pools = {label: [i for i in order if readmitted[i] == label] for label in (0, 1)}
    names: list[str] = ["train"] * len(readmitted)
    for name, size in (("test", test), ("validation", validation)):
        positives = round(size * float(readmitted.mean()))
        if size >= 2:
            positives = min(max(positives, 1), size - 1)
        positives = min(positives, len(pools[1]))
        positives = max(positives, size - len(pools[0]))
        for _ in range(positives):
            names[pools[1].pop()] = name
        for _ in range(size - positives):
            names[pools[0].pop()] = name
    fold: list[int | None] = [None] * len(readmitted)
    others = [i for i in order if names[i] != "test"]
    for place, i in enumerate(sorted(others, key=lambda i: -readmitted[i])):
        fold[i] = place % folds + 1
    return names, fold


def check_clips(n_clips: int, n_patients: int) -> None:
    """Refuse a number of clips that the views and days cannot hold."""
    most = 3 * len(VIEWS) * n_patients
    if not 2 * n_patients <= n_clips <= most:
        raise ValueError(
            f"n_clips: expected {2 * n_patients} to {most} for {n_patients} patients (one view on two days "
            f"to six views on three), got {n_clips}; change n_clips or n_patients."
        )


def draw_clips(rng: np.random.Generator, n_clips: int, n_patients: int) -> list[tuple[int, int, str]]:
    """Which clips were recorded: exactly n_clips of (patient index, day, view), sorted.

    Days 0 and 1 share most of their views, since readmission compares them view by view.
    """
    views = [list(rng.permutation(list(VIEWS))) for _ in range(n_patients)]
    units = [(int(p), views[p][k]) for k in range(len(VIEWS)) for p in rng.permutation(n_patients)]
    spare = n_clips - 2 * n_patients
    on_discharge = min(round(DISCHARGE_CLIPS * n_clips), spare)
    on_discharge = max(on_discharge, n_clips - 2 * len(units))
    early = n_clips - on_discharge
    pairs = max((early - round(SINGLE_SHARE * early)) // 2, n_patients)
    pairs = max(pairs, early - len(units))  # every single needs a unit of its own
    singles = early - 2 * pairs
    clips = [(p, day, view) for p, view in units[:pairs] for day in (0, 1)]
    clips += [(p, int(rng.integers(2)), view) for p, view in units[pairs : pairs + singles]]
    n_homes = max(round(DISCHARGE_SHARE * n_patients), int(np.ceil(on_discharge / len(VIEWS))))
    homes = sorted(rng.permutation(n_patients)[: min(n_homes, max(on_discharge, 1))])
    places = [(int(p), 2, views[p][k]) for k in range(len(VIEWS)) for p in homes]
    clips += places[:on_discharge]
    order = list(VIEWS)
    return sorted(clips, key=lambda clip: (clip[0], clip[1], order.index(clip[2])))


def name_patients(n_patients: int) -> list[str]:
    """Study identifiers P01, P02 ..."""
    digits = max(2, len(str(n_patients)))
    return [f"P{i + 1:0{digits}d}" for i in range(n_patients)]


def draw_tables(
    rng: np.random.Generator,
    n_patients: int,
    n_clips: int,
    split: tuple[int, int, int],
    folds: int,
    link: float,
    null: str = "none",
) -> dict[str, pd.DataFrame]:
    """Draw the cohort's people.

    With null "outcome" whole courses of oxygen, and apart from them readmission, go to other patients at
    random; congestion, and so the pictures, stay where they were.
    Returns `patients` and `exams` as they stand on disk, and `views`: clip_id, patient_id, day, view,
    congestion (of that view) and habitus_mm (of that patient's chest wall), one row a clip.
    """
    check_split(split, n_patients, folds)
    check_clips(n_clips, n_patients)
    names = name_patients(n_patients)
    congestion = draw_congestion(rng, n_patients)
    readmitted = draw_readmission(rng, congestion, link)
    other = rng.spawn(1)[0] if null == "outcome" else None  # its own stream: the rest is drawn as ever
    if other is not None:
        readmitted = other.permutation(readmitted)
    groups, fold = spread(rng, readmitted, split, folds)
    patients = pd.DataFrame({"patient_id": names, "readmitted_30d": readmitted, "split": groups})
    patients["fold"] = pd.array(fold, dtype="Int64")
    clips = draw_clips(rng, n_clips, n_patients)
    oxygen = draw_oxygen(rng, congestion.ravel(), link)
    if other is not None:
        rows = np.arange(congestion.size).reshape(congestion.shape)  # (patients, days)
        oxygen = oxygen.iloc[other.permutation(rows).ravel()].reset_index(drop=True)
    days = [(p, day) for p in range(n_patients) for day in (0, 1, 2)]
    exams = pd.DataFrame({"patient_id": [names[p] for p, _ in days], "day": [day for _, day in days]})
    exams = pd.concat([exams, oxygen], axis=1)
    recorded = {(names[p], day) for p, day, _ in clips} | {(name, day) for name in names for day in (0, 1)}
    kept = [key in recorded for key in zip(exams["patient_id"], exams["day"], strict=True)]
    views = draw_views(rng, clips, congestion, names)
    return {"patients": patients, "exams": exams[kept].reset_index(drop=True), "views": views}


def draw_views(
    rng: np.random.Generator, clips: list[tuple[int, int, str]], congestion: np.ndarray, names: list[str]
) -> pd.DataFrame:
    """One row a clip: its congestion is the patient's that day, off by its zone and by its own place."""
    habitus = rng.normal(0.0, 1.8, len(names))
    place = {(p, view): rng.normal(0.0, 0.06) for p in range(len(names)) for view in VIEWS}
    rows = []
    for p, day, view in clips:
        here = congestion[p, day] + ZONE_OFFSET[VIEWS[view]] + place[p, view]
        rows.append(
            {
                "clip_id": f"{names[p]}_d{day}_{view}",
                "patient_id": names[p],
                "day": day,
                "view": view,
                "congestion": float(np.clip(here, 0.0, 1.0)),
                "habitus_mm": float(habitus[p]),
            }
        )
    return pd.DataFrame(rows)
