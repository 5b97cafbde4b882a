"""Every p and interval of the package where nothing is to be found, and where the truth is known.

    python -m tests.benchmarks.nulls [--studies 1000] [--seed 0] [--only alike,trained] [--write PAGE]

Null studies count how often a test finds something that is not there, coverage how often an interval holds
what it is of. No images and no training: tables of scores are drawn, and put to the package's own functions.
The same seed and number of studies give the same page. About a quarter of an hour of one core.
"""

import argparse
import gc
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

import pandas as pd

from lusnb import files, stats
from tests.benchmarks import coverage, nullstudies
from tests.benchmarks.inventory import INVENTORY, NEITHER

WIDTH = 120  # of the page's lines
Rows = Callable[[int, int], Iterator[dict]]


@dataclass(frozen=True)
class Section:
    """A table of the page. share: of the studies asked for, since some take long; wide: shares, no texts."""

    name: str
    title: str
    words: str
    rows: Rows
    share: float = 1.0
    wide: bool = False


SECTIONS = (
    Section(
        "alike", "Arms alike, the models given",
        "`stats.compare_pairs` on four arms that are alike: p and interval of the first pair, and whether "
        "any of three pairs is below 0.05 after Holm. In the last rows the arms are alike only in their "
        "mean: one errs evenly, the other little in most patients and much in some, so they cannot be "
        "exchanged. The sign-flip test does not claim to hold its level there.",
        nullstudies.arms_alike,
    ),
    Section(
        "tables", "The same through the tables of 04 and 08",
        "The package itself scores and averages images, pairs, days and votes. With few pairs and votes, "
        "many patients do not differ at all, and the test rejects less often than it may.",
        nullstudies.through_tables, share=0.25,
    ),
    Section(
        "trained", "Arms alike, retrained",
        "The two arms are alike, but a training may be lucky for all patients of its model. `luck`: the "
        "share of the variance of a patient's difference that all patients of one training have in common. "
        "`p` is conditional on the fitted models: it finds true differences between these trainings, which "
        "say nothing about arms. Read as a statement about arms, it rejects as often as the table shows. "
        "`stats.retrained` asks about retrained arms. Folds: as under `cross_fitted`, the patients of a "
        "fold share a model. Seeds: as under `paper`, each training predicts every test patient; one seed "
        "says nothing about another.",
        nullstudies.trained_anew,
    ),
    Section(
        "folds", "Folds that share a model, through Tables 2 to 4",
        "`tasks.differences` under `cross_fitted`, arms alike.",
        nullstudies.folds_of_tasks, share=0.25,
    ),
    Section(
        "nothing", "Models that know nothing, against the training mean or the majority",
        "`tasks.against_baselines` under `paper`, outcomes drawn at random. The trivial model is fitted in "
        "each fold to half of the patients outside the test, and the reference is the mean of these models "
        "over folds. `constant`: one guess from all of these patients; `folds' constants`: one for each "
        "fold, each somewhat off; `folds' own means`: the trivial model of each fold; `noise`: scatters "
        "about the reference. The last three are truly worse than the reference, by as much as they differ "
        "between folds; `folds' own means` are worse in every patient alike, and so always found to be. "
        "`better` is never deserved; it may reach 2.5 %.",
        nullstudies.knows_nothing, share=0.1,
    ),
    Section(
        "mean", "Models that know nothing, against the mean: notebook 13",
        "`linked.compared`. The mean is fitted to 36 patients, another constant to half of them: where both"
        " miss the test patients' mean, the nearer one errs less without knowing anything. `p` counts both "
        "ways; `beats` and `worse` go by the interval, and each may reach 2.5 %. The more patients are "
        "tested, the more surely the luck of the fitted mean is found: this is the level of the whole "
        "procedure, which null cohorts measure too.",
        nullstudies.against_the_mean,
    ),
    Section(
        "sweep", "The sweep over raters",
        "`sensitivity.winners` where all thresholds are alike. Holm corrects over all thresholds and cells,"
        " or, in `alike`, over the pairs of a cell, so each of the first four may reach 5 % in a whole "
        "sweep or cell. The interval of `cost` is not corrected for the fact that the winner was chosen on "
        "the same patients.",
        nullstudies.sweep, share=0.2,
    ),
    Section(
        "frequency", "Bootstrap rank frequency",
        "`sensitivity.frequency` where no threshold is better than another: how large the leader's is. It "
        "describes how firmly these patients agree; it is not the probability that a threshold is best, and"
        " 95 % is no level for it.",
        nullstudies.frequencies, share=0.5,
    ),
    Section(
        "means", "Coverage of the mean over patients, by their number",
        "Per cent, nominal 95; below 93 in bold. `stats.interval` is the set of means that the sign-flip "
        "test does not reject. Student's t and, for a quarter of the studies, BCa are shown for comparison."
        " Blank intervals (all patients alike) do not count.",
        coverage.of_means, share=2, wide=True,
    ),
    Section(
        "tasks", "Coverage of the leading scores in Tables 2 to 4",
        "`task_tables.main` under `paper`: the patients are drawn from many, and the interval should hold "
        "the score over all of these.",
        coverage.of_tasks, share=0.1,
    ),
    Section(
        "rates", "Coverage of a rate over cohorts",
        "`linked.rates`, the exact binomial interval. Nothing is drawn: every count is weighted by its "
        "probability.",
        coverage.of_rates,
    ),
)  # fmt: skip


WITH_LEVEL = ("alike", "tables", "trained", "folds", "nothing", "mean", "sweep")  # whose rates have a level


def markdown(rows: list[dict]) -> str:
    """A table, blanks empty."""
    table = pd.DataFrame(rows).astype(object)
    lines = [" | ".join(map(str, table)), " | ".join("---" for _ in table)]
    lines += [" | ".join("" if pd.isna(v) else str(v) for v in row) for row in table.to_numpy()]
    return "\n".join(f"| {line} |" for line in lines)


def in_per_cent(row: dict) -> dict:
    """A row of shares of coverage: one decimal, what is below coverage.REACHED in bold."""
    said = {k: f"{100 * v:.1f}" for k, v in row.items() if isinstance(v, float)}
    return row | {k: f"**{v}**" if row[k] < coverage.REACHED else v for k, v in said.items()}


def section(of: Section, rows: list[dict]) -> str:
    shown = [in_per_cent(row) for row in rows] if of.wide else rows
    return f"## {of.title}\n\n{fill(of.words, WIDTH)}\n\n{markdown(shown)}\n"


def in_short(found: dict[str, list[dict]]) -> str:
    """The sentences that the page opens with, computed."""
    lines = []
    for of in SECTIONS:
        rows = found.get(of.name, [])
        bold = [value.strip("*") for row in rows for value in row.values() if str(value).startswith("**")]
        if rows and of.name in WITH_LEVEL:
            most = max(bold, key=lambda value: float(value.split()[0]), default="")
            above = sum(any(str(value).startswith("**") for value in row.values()) for row in rows)
            said = f"{above} of {len(rows)} rows are above their level, the most at {most} %"
            lines.append(f"{of.title}: {said if above else 'no row is above its level'}.")
    if "means" in found:
        reached = coverage.reached(found["means"])
        most = coverage.PATIENTS[-1]
        said = "; ".join(f"{name}, {n or f'not up to {most}'}" for name, n in reached.items())
        lines.append(f"`stats.interval` covers 93 % from so many patients on: {said}.")
        lines.append(
            f"`stats.UNRELIABLE` is {stats.UNRELIABLE}: of fewer patients p and interval are said to be "
            "unreliable where differences are skewed."
        )
    return listed(lines)


def listed(items: list[str]) -> str:
    """A list in Markdown, its lines no longer than WIDTH."""
    own = {"initial_indent": "- ", "subsequent_indent": "  ", "break_on_hyphens": False}
    return "\n".join(fill(item, WIDTH, **own) for item in items)


def page(found: dict[str, list[dict]], command: str) -> str:
    """docs/statistics.md."""
    parts = [
        "# Tests and intervals: what they claim, and how far it holds\n",
        fill(f"Made by `{command}`; the same command makes the same page.", WIDTH, break_on_hyphens=False)
        + "\n",
        "Rates are per cent of the studies, with the exact binomial 95 % interval; bold: above the level\n"
        "(5 %, one way 2.5 %) by more than chance over so many studies.\n",
        f"## In short\n\n{in_short(found)}\n",
        f"## Every p and every interval\n\n{listed(INVENTORY)}\n\n{fill(NEITHER, WIDTH)}\n",
        *(section(of, found[of.name]) for of in SECTIONS if of.name in found),
    ]
    return "\n".join(parts)


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="names of sections, with commas: see SECTIONS")
    parser.add_argument("--write", type=Path, help="the page that is written, instead of printed")
    asked = parser.parse_args(words)
    chosen = asked.only.split(",") if asked.only else [of.name for of in SECTIONS]
    known = [of.name for of in SECTIONS]
    unknown = [name for name in chosen if name not in known]
    if unknown:
        parser.error(f"--only: expected names of {', '.join(known)}, got {', '.join(unknown)}")
    gc.freeze()  # statsmodels collects garbage at each call, and torch has much that is none
    found = {}
    for of in SECTIONS:
        if of.name in chosen:
            start = time.process_time()
            found[of.name] = list(of.rows(asked.seed, max(2, round(of.share * asked.studies))))
            print(f"{of.name}: {time.process_time() - start:.0f} s", file=sys.stderr, flush=True)
    command = f"python -m tests.benchmarks.nulls --studies {asked.studies} --seed {asked.seed}"
    command += f" --only {asked.only}" if asked.only else ""
    command += f" --write {asked.write}" if asked.write else ""
    text = page(found, command)
    if asked.write:
        asked.write.parent.mkdir(parents=True, exist_ok=True)
        files.write_text(asked.write, text)
    else:
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
