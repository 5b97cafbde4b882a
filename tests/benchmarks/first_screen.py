"""README's first screen: sentences and picture of a finished `quick` study, and where they come from.

python -m tests.benchmarks.first_screen [--runs runs]

Sentences are those that the executed notebooks 04 and 08 print, the picture is 09's; only the last sentence
is counted here, from the tables of 08. The same study gives the same screen.
"""

import argparse
import json
import re
import shutil
from pathlib import Path
from textwrap import fill

import pandas as pd
import yaml

from lusnb.arms import GRAYSCALE, TRUE_MASKS
from lusnb.study import places

PROFILE, COHORT = "quick", "phantom_quick"
BEGIN, END = "<!-- from a run, by tests/benchmarks/first_screen.py -->", "<!-- end -->"
PICTURE = "notebooks/four_patients.png"
WIDTH = 120


def printed(notebook: Path) -> list[str]:
    """The lines that an executed notebook printed, in order."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    texts = ["".join(o.get("text", "")) for c in cells for o in c.get("outputs", [])]
    return [line.strip() for text in texts for line in text.splitlines() if line.strip()]


def said(lines: list[str], start: str, after: str = "") -> str:
    """The first line with this start, behind the line that starts with `after`. StopIteration without one."""
    found = iter(lines)
    if after:
        next(line for line in found if line.startswith(after))
    return next(line for line in found if line.startswith(start))


def counted(tables: Path) -> str:
    """How many comparisons of arms, and of networks with masks and without, are shown over all tasks."""
    arms, baselines = (pd.read_csv(tables / f"task_{name}.csv") for name in ("differences", "baselines"))
    masks = baselines[(baselines["reference"] == GRAYSCALE) & (baselines["arm"] != TRUE_MASKS)]
    shown = [int((rows["p_holm"] < 0.05).sum()) for rows in (arms, masks)]
    return (
        f"All three tasks: {shown[0]} of {len(arms)} differences between arms are shown, and {shown[1]} of "
        f"{len(masks)} between a network that sees masks and the same without."
    )


def screen(place: Path, base: Path) -> str:
    """The block of README, from a cohort's folder of runs."""
    segmented = printed(place / "04_compare_segmentation" / "notebook.ipynb")
    tasks = printed(place / "08_compare_tasks" / "notebook.ipynb")
    seed = yaml.safe_load((place / "00_cohort" / "params.yaml").read_text(encoding="utf-8"))["seed"]
    version = re.search(r'^version = "(.*)"', (base / "pyproject.toml").read_text(encoding="utf-8"), re.M)
    assert version, "pyproject.toml names a version"
    sentences = [
        said(segmented, "IoU against the truth, own cuts"),
        said(segmented, "Without a learner"),
        said(segmented, "IoU against the truth: "),
        "S/F ratio: " + said(tasks, "Does anything beat the training mean", "S/F ratio"),
        counted(place / "tables"),
    ]
    told = [
        f"**What a phantom answers in ten minutes** (`make study`: profile `{PROFILE}`, phantom seed {seed}, "
        f"version {version[1]}; these sentences are printed by notebooks 04 and 08):"
    ]
    alt = "How often each threshold comes out best in a study of four test patients"
    lines = [fill(told[0], WIDTH), "", *(_item(line) for line in sentences), "", f"![{alt}]({PICTURE})"]
    return "\n".join([BEGIN, *lines, END])


def _item(line: str) -> str:
    return fill(line, WIDTH, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False)


def main() -> None:
    """Write the block into README, and the picture beside the notebooks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    base = places.root()
    place = parser.parse_args().runs / PROFILE / COHORT
    readme = base / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    block = screen(place, base)
    readme.write_text(before + block + rest.split(END, 1)[1], encoding="utf-8")
    shutil.copyfile(place / "figures" / "few_patients.png", base / PICTURE)


if __name__ == "__main__":
    main()
