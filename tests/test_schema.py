"""One schema: a column is one line, and cohort.yaml is checked alike on import and in a cohort's folder."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from lusnb.cohort import cohort as cohorts
from lusnb.cohort import meta, painting, schema
from lusnb.cohort.problems import CohortError, sorted_out
from lusnb.phantom.build import make_cohort
from lusnb.phantom.plan import Plan
from lusnb.readers import sheets
from lusnb.readers.folder import import_folder
from lusnb.widgets import export
from tests.faults import make

PLAN = Plan(n_patients=3, n_clips=6, size=48, n_frames=2, split=(1, 1, 1))


def said(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "labels.csv", dtype=str, keep_default_na=False)


def saying(folder: Path, comments: list[str]) -> None:
    """Write a column `comment` into the first rows of labels.csv."""
    table = said(folder)
    table["comment"] = comments + [""] * (len(table) - len(comments))
    table.to_csv(folder / "labels.csv", index=False)


@pytest.fixture
def comment(monkeypatch):
    """labels.csv has one more optional column: this line is all that it takes."""
    monkeypatch.setitem(schema.TABLES["labels"].columns, "comment", schema.text_column())


# -- a column more


def test_an_import_carries_a_new_column_of_labels(comment, tmp_path):
    source = make.good(tmp_path / "files")
    saying(source, ["first", "second"])
    import_folder(source, tmp_path / "cohort", name="c", study_ids=False)
    cohort = cohorts.read(tmp_path / "cohort", 2)
    assert list(cohort.labels.columns) == schema.columns("labels")
    given = cohort.labels.set_index(["clip_id", "frame"])["comment"].dropna()
    assert given.to_dict() == {("adler-mp4", 2): "first", ("adler-avi", 3): "second"}


def test_readings_that_differ_leave_a_new_column_blank(comment, tmp_path):
    source = make.good(tmp_path / "files")
    table = said(source).assign(comment="the same", reading="1")
    again = table[table["path"] == "labels/grey.png"].assign(comment="another", reading="2")
    pd.concat([table, again]).to_csv(source / "labels.csv", index=False)
    import_folder(source, tmp_path / "cohort", name="c", study_ids=False)
    labels = cohorts.read(tmp_path / "cohort", 2).labels
    twice = (labels["clip_id"] == "brandt-npy") & (labels["frame"] == 0)
    assert labels.loc[twice, "comment"].isna().all() and (labels.loc[~twice, "comment"] == "the same").all()


def test_an_import_carries_a_new_column_of_clips(monkeypatch, tmp_path):
    monkeypatch.setitem(schema.TABLES["clips"].columns, "probe", schema.text_column())
    source = make.good(tmp_path / "files")
    table = pd.read_csv(source / "clips.csv", dtype=str, keep_default_na=False)
    table.assign(probe=[f"probe {n}" for n in range(len(table))]).to_csv(source / "clips.csv", index=False)
    import_folder(source, tmp_path / "cohort", name="c", study_ids=False)
    probes = cohorts.read(tmp_path / "cohort", 2).clips.set_index("clip_id")["probe"]
    assert probes["adler-mp4"] == "probe 0" and probes["brandt-npy"] == "probe 2"


def test_painting_and_export_keep_a_new_column(comment, tmp_path):
    make_cohort(tmp_path / "cohort", PLAN)
    assert "comment" not in said(tmp_path / "cohort"), "a phantom, which knows nothing of it, leaves it out"
    count = len(said(tmp_path / "cohort"))
    saying(tmp_path / "cohort", ["looked twice"])
    own = cohorts.read(tmp_path / "cohort", 2)
    one = painting.read(own, own.clips["clip_id"].iloc[0], 0, "anna")
    one.maps[[0, 5], :5], one.looked[[0, 5]] = 128, True
    painting.save(own, one)
    assert said(own.folder)["comment"].tolist() == ["looked twice"] + [""] * (count + 1)
    saying(own.folder, said(own.folder)["comment"].tolist()[:-2] + ["of the first", "of the last"])
    again = painting.read(own, one.clip_id, 0, "anna")
    again.maps[5, :9] = 255
    painting.save(own, again)
    assert said(own.folder)["comment"].tolist()[-2:] == ["of the first", ""], "of a new image nothing is said"
    found = export.painted(own, "anna", tmp_path / "out")
    assert list(found.columns) == [*schema.columns("labels"), "mm_down", "mm_across"]
    assert said(tmp_path / "out")["comment"].tolist() == ["of the first", ""]
    assert set(cohorts.read(own.folder, 2).labels["comment"].dropna()) == {"looked twice", "of the first"}


def test_an_earlier_export_without_a_new_column_is_gone_on_with(monkeypatch, tmp_path):
    make_cohort(tmp_path / "cohort", PLAN)
    own = cohorts.read(tmp_path / "cohort", 2)
    for rater in ("anna", "bo"):
        one = painting.read(own, own.clips["clip_id"].iloc[0], 0, rater)
        one.maps[0, :5], one.looked[0] = 128, True
        painting.save(own, one)
    export.painted(own, "anna", tmp_path / "out")
    monkeypatch.setitem(schema.TABLES["labels"].columns, "comment", schema.text_column())
    export.painted(own, "bo", tmp_path / "out")
    table = said(tmp_path / "out")
    assert table["rater"].tolist() == ["anna", "bo"] and (table["comment"] == "").all()


# -- what is written fits the schema


def test_rows_are_written_in_the_order_of_the_schema():
    rows = pd.DataFrame({"path": ["a.png"], "clip_id": ["c"], "rater": ["r"], "feature": ["f"], "frame": [0]})
    assert list(schema.shaped("labels", rows).columns) == ["clip_id", "frame", "rater", "feature", "path"]
    with pytest.raises(
        ValueError, match=r"^labels.csv: expected columns \['clip_id', .*'path'\], got \['clip"
    ):
        schema.shaped("labels", rows.drop(columns="frame")[["clip_id", "path"]])
    with pytest.raises(ValueError, match=r"got \['path', .*'framee'\]; see cohort/schema.py"):
        schema.shaped("labels", rows.assign(framee=1))


def test_every_column_of_a_phantom_is_in_the_schema(phantom):
    for path in phantom.glob("*.csv"):
        assert list(pd.read_csv(path).columns) == schema.columns(path.stem)


@pytest.mark.parametrize("name", schema.TABLES)
def test_what_names_a_row_is_never_blank(name):
    table = schema.sheet(name)
    assert set(schema.TABLES[name].key) <= set(schema.columns(name))
    assert not set(schema.TABLES[name].key) & set(table.optional)
    assert set(table.names) <= set(table.columns) and not set(table.names) & set(table.optional)


def test_names_are_the_text_that_is_never_blank():
    assert schema.sheet("clips").names == ["clip_id", "patient_id", "path"]
    assert schema.sheet("labels").names == ["clip_id", "rater", "feature", "path"]
    assert schema.sheet("labels").key == ["clip_id", "frame", "rater", "feature", "reading"]


# -- cohort.yaml, through both doors

FEATURES = "`features` as a list of distinct names, at least one"
VIEWS = "`views` as a list of distinct names, or a zone for each"
KEYS = "one of name, version, features, views, sf_max, licence, notes, split_seed, provenance"
# claim: what is added, and what both say: expected, arrived, remedy, whether it is a warning
CASES = {
    "features in words": ({"features": "b_line"}, (FEATURES, "'b_line'", "correct it.", False)),
    "no features": ({"features": []}, (FEATURES, "[]", "correct it.", False)),
    "a feature twice": ({"features": ["a", "a"]}, (FEATURES, "['a', 'a']", "correct it.", False)),
    "a feature twice, once as a number": (
        {"features": ["1", 1]}, (FEATURES, "['1', 1]", "correct it.", False),
    ),
    "a feature that YAML reads as no": ({"features": [False]}, (FEATURES, "[False]", "correct it.", False)),
    "views in words": ({"views": "R1"}, (VIEWS, "'R1'", "correct it.", False)),
    "views in lists": ({"views": [["R1"]]}, (VIEWS, "[['R1']]", "correct it.", False)),
    "a zone that is a list": ({"views": {"R1": [1]}}, (VIEWS, "{'R1': [1]}", "correct it.", False)),
    "S/F up to 0": ({"sf_max": 0}, ("`sf_max` as a number above 0", "0", "correct it.", False)),
    "S/F below 0": ({"sf_max": -477}, ("`sf_max` as a number above 0", "-477", "correct it.", False)),
    "S/F without end": ({"sf_max": np.inf}, ("`sf_max` as a number above 0", "inf", "correct it.", False)),
    "S/F in words": ({"sf_max": "477"}, ("`sf_max` as a number above 0", "'477'", "correct it.", False)),
    "S/F that is yes": ({"sf_max": True}, ("`sf_max` as a number above 0", "True", "correct it.", False)),
    "S/F too large for a float": (
        {"sf_max": 10**400}, ("`sf_max` as a number above 0", f"{'1' + '0' * 17}", "correct it.", False),
    ),
    "a seed below 0": (
        {"split_seed": -1}, ("`split_seed` as a whole number from 0 on", "-1", "correct it.", False),
    ),
    "a seed with a fraction": (
        {"split_seed": 0.5}, ("`split_seed` as a whole number from 0 on", "0.5", "correct it.", False),
    ),
    "a licence in a list": ({"licence": ["CC0"]}, ("`licence` as text", "['CC0']", "correct it.", False)),
    "notes in a list": ({"notes": [1]}, ("`notes` as text", "[1]", "correct it.", False)),
    "where it comes from in words": (
        {"provenance": "Ward 3"}, ("`provenance` as `key: value` lines", "'Ward 3'", "correct it.", False),
    ),
    "view for views": ({"view": ["R1"]}, (KEYS, "'view'", "did you mean `views`? It is left out.", True)),
    "Features for features": (
        {"Features": ["a"]}, (KEYS, "'Features'", "did you mean `features`? It is left out.", True),
    ),
    "sfmax for sf_max": ({"sfmax": 500}, (KEYS, "'sfmax'", "did you mean `sf_max`? It is left out.", True)),
    "license for licence": (
        {"license": "CC0"}, (KEYS, "'license'", "did you mean `licence`? It is left out.", True),
    ),
    "a key that is near none": ({"hospital": "Ulm"}, (KEYS, "'hospital'", "it is left out.", True)),
    "a number for a key": ({7: "x"}, (KEYS, "7", "it is left out.", True)),
}  # fmt: skip


@pytest.fixture(scope="module")
def doors(tmp_path_factory) -> dict[str, Path]:
    """The folder of an import's files, and a cohort: both are good."""
    place = tmp_path_factory.mktemp("doors")
    source = make.good(place / "files")
    import_folder(source, place / "cohort", name="c", study_ids=False)
    return {"import": source, "cohort": place / "cohort"}


@pytest.mark.parametrize("claim", CASES)
@pytest.mark.parametrize("door", ["import", "cohort"])
def test_cohort_yaml_is_checked_alike_by_both_doors(doors, door, claim):
    added, (expected, arrived, remedy, warning) = CASES[claim]
    path = doors[door] / "cohort.yaml"
    text = path.read_text()
    try:
        path.write_text(yaml.safe_dump(yaml.safe_load(text) | added))
        wrong, odd = told(doors[door], door)
    finally:
        path.write_text(text)
    assert len(wrong) == (not warning) and len(odd) == warning, (wrong, odd)
    one = (odd if warning else wrong)[0]
    assert (one["file"], one["row"]) == (str(path), None)
    assert (one["expected"], one["remedy"]) == (expected, remedy)
    assert one["arrived"].startswith(arrived) if claim.startswith("S/F too") else one["arrived"] == arrived


def told(folder: Path, door: str) -> tuple[list[dict], list[dict]]:
    """What a door says of a folder's cohort.yaml: problems and warnings."""
    if door == "import":
        found = sorted_out(sheets.read(folder)[1])
    else:
        try:
            found = [], cohorts.read(folder, 2).warnings.astype(object).to_dict("records")
        except CohortError as error:
            found = error.problems.astype(object).to_dict("records"), []
    for one in (*found[0], *found[1]):
        one["row"] = None if pd.isna(one["row"]) else one["row"]
    return tuple([one for one in some if one["file"].endswith("cohort.yaml")] for some in found)


def test_the_good_ones_are_silent_at_both_doors(doors):
    assert told(doors["import"], "import") == ([], []) and told(doors["cohort"], "cohort") == ([], [])


@pytest.mark.parametrize("key", ["name", "features"])
def test_a_cohort_needs_what_an_import_finds_by_itself(doors, key):
    path = doors["cohort"] / "cohort.yaml"
    text = path.read_text()
    try:
        path.write_text(yaml.safe_dump({k: v for k, v in yaml.safe_load(text).items() if k != key}))
        wrong, odd = told(doors["cohort"], "cohort")
    finally:
        path.write_text(text)
    one = {"expected": f"`{key}` as {schema.META[key].expected}", "arrived": "none", "remedy": "add it."}
    assert wrong == [{"file": str(path), "row": None, **one}] and not odd


def test_blanks_are_as_good_as_nothing(tmp_path):
    (tmp_path / "cohort.yaml").write_text("name: c\nfeatures: [a, 1]\nviews:\nsf_max:\n")
    assert meta.read(tmp_path / "cohort.yaml", whole=True) == ({"name": "c", "features": ["a", "1"]}, [])
    (tmp_path / "cohort.yaml").write_text("")
    assert meta.read(tmp_path / "cohort.yaml", whole=False) == ({}, [])
    assert [p["remedy"] for p in meta.read(tmp_path / "cohort.yaml", whole=True)[1]] == ["add it."] * 2


def test_an_import_says_that_it_writes_where_it_comes_from_itself(doors, tmp_path):
    source = make.good(tmp_path / "files")
    (source / "cohort.yaml").write_text(make.META + "name: other\nprovenance: {ward: 3}\n")
    odd = import_folder(source, tmp_path / "cohort", name="c", study_ids=False)
    row = odd[odd["arrived"] == "`provenance`"].iloc[0]
    assert (row["expected"], row["remedy"]) == (
        "a cohort.yaml without `provenance`",
        "it is left out: the import writes its own.",
    )
    made = cohorts.read(tmp_path / "cohort", 2)
    assert made.name == "c" and "ward" not in made.meta["provenance"]
