"""What the widgets send to the browser: one text without imports, whose names do not meet."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lusnb.widgets import assets

HERE = Path(assets.__file__).parent
ENTRIES = sorted(p.name for p in HERE.glob("*.js") if "export default" in p.read_text())
DECLARED = re.compile(r"^(?:async )?(?:function|class|const|let|var) (\w+)", re.M)


def test_files_stand_before_what_imports_them_and_once(tmp_path, monkeypatch):
    (tmp_path / "a.js").write_text("export const a = 1;\n")
    (tmp_path / "b.js").write_text('import { a } from "./a.js";\nexport function b() { return a; }\n')
    (tmp_path / "c.js").write_text(
        'import { a } from "./a.js";\nimport { b } from "./b.js";\nexport default { a, b };\n'
    )
    monkeypatch.setattr(assets, "HERE", tmp_path)
    assert assets.module("c.js") == (
        "const a = 1;\n\nfunction b() { return a; }\n\nexport default { a, b };\n"
    )


def test_there_are_widgets():
    assert {"explorer.js", "brush.js"} <= set(ENTRIES)


@pytest.mark.parametrize("name", ENTRIES)
def test_a_widget_is_one_module_that_reaches_for_nothing_outside(name):
    text = assets.module(name)
    assert not re.search(r"^\s*import\b|\bimport\(|https?://(?!www\.w3\.org/)", text, re.M)
    assert text.count("export ") == 1
    found = DECLARED.findall(text)
    assert len(found) == len(set(found)), sorted({one for one in found if found.count(one) > 1})


@pytest.mark.parametrize("path", sorted(HERE.glob("*.js")), ids=lambda path: path.stem)
def test_no_html_is_built_from_text_and_files_stay_short(path):
    text = path.read_text()
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text
    )
    assert len(text.splitlines()) <= 310


@pytest.mark.parametrize("name", ENTRIES)
def test_the_module_is_sound(name, tmp_path):
    if shutil.which("node") is None:
        pytest.skip("no node here: the browser tests still load the module")
    (tmp_path / "joined.mjs").write_text(assets.module(name))
    told = subprocess.run(["node", "--check", tmp_path / "joined.mjs"], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr


def test_the_tables_of_colours_cut_where_python_cuts(tmp_path):
    """leastKept in the browser against confidence.targets, for every whole per cent."""
    if shutil.which("node") is None:
        pytest.skip("no node here: the browser tests read the same from the page")
    import numpy as np

    from lusnb import confidence

    (tmp_path / "levels.mjs").write_text(assets.module("levels.js") + "\nexport { leastKept };\n")
    script = "import { leastKept } from './levels.mjs';"
    script += "for (let k = 0; k <= 100; k += 1) console.log(leastKept(k / 100));"
    (tmp_path / "ask.mjs").write_text(script)
    told = subprocess.run(["node", tmp_path / "ask.mjs"], capture_output=True, text=True, check=True).stdout
    levels = np.arange(256) / 255
    assert [int(x) for x in told.split()] == [
        int(np.argmax(confidence.targets(levels, k / 100))) for k in range(101)
    ]
