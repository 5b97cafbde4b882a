"""cohort.yaml, of a cohort or beside an import's spreadsheets: read it, and check it against schema.META."""

from pathlib import Path

import yaml

from lusnb import params
from lusnb.cohort.problems import Unfit, as_problem, decoding, problem, short
from lusnb.cohort.schema import META

LARGEST_YAML, DEEPEST_YAML = 1_000_000, 10  # characters, lists within lists
NAMES = ("features", "views")


def read(path: Path, whole: bool) -> tuple[dict, list[dict]]:
    """What of a cohort.yaml can be used, by its keys, names as text; and all that is wrong with it.

    `whole`: of a cohort, which must have the file and the keys that schema.META needs; an import finds out
    by itself what is missing.
    """
    if not path.is_file():
        remedy = "make the cohort first."
        none = problem(path, None, "a cohort folder with a cohort.yaml", "no such file", remedy)
        return {}, [none] if whole else []
    try:
        content = read_yaml(path)
    except Unfit as error:
        return {}, [as_problem(path, None, error)]
    content = {} if content is None else content
    if not isinstance(content, dict):
        return {}, [problem(path, None, "`key: value` lines", short(content), "see docs/formats.md.")]
    given = {key: value for key, value in content.items() if key in META and value is not None}
    meta = {key: value for key, value in given.items() if META[key].fits(value)}
    found = [
        problem(path, None, f"`{key}` as {META[key].expected}", short(value), "correct it.")
        for key, value in given.items()
        if key not in meta
    ]
    missing = [key for key, rule in META.items() if whole and rule.needed and key not in given]
    found += [problem(path, None, f"`{k}` as {META[k].expected}", "none", "add it.") for k in missing]
    found += [_unknown(path, key) for key in content if key not in META]
    return {key: _as_text(value) if key in NAMES else value for key, value in meta.items()}, found


def _unknown(path: Path, key: object) -> dict:
    """A warning of a key that says nothing: it may be misspelt."""
    nearest = params.near(key, META)
    remedy = f"did you mean `{nearest}`? It is left out." if nearest else "it is left out."
    return problem(path, None, f"one of {', '.join(META)}", short(key), remedy, warning=True)


def _as_text(names: list | dict) -> list | dict:
    """Names as text: YAML reads some of them as numbers."""
    if isinstance(names, dict):
        return {str(name): zone for name, zone in names.items()}
    return [str(name) for name in names]


def read_yaml(path: Path) -> object:
    """What a YAML file says. Raises Unfit; also for aliases, by which a few lines can stand for gigabytes."""
    with decoding("YAML", path.name, "correct it."):
        text = path.read_text(encoding="utf-8-sig")
        if len(text) > LARGEST_YAML:
            raise Unfit(f"at most {LARGEST_YAML:,} characters", f"{len(text):,}", "shorten it.")
        depth = 0
        for event in yaml.parse(text):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent):
                raise Unfit("YAML without aliases", "an alias (*)", "write out what it stands for.")
            if depth > DEEPEST_YAML:
                raise Unfit(f"at most {DEEPEST_YAML} levels", "more than that", "take them out.")
        return yaml.safe_load(text)
