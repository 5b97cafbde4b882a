"""The widgets outside JupyterLab: in Notebook 7, and as a page by Voila, behind its token."""

import json
import os
import re
import subprocess
import sys
import time

import pytest

from tests.browser.conftest import SIZE, TOKEN, WAIT, free_port, serve, with_parameters

NAMES = {"10_explore_thresholds": "explorer", "11_annotate": "brush"}
GIVEN = {"10_explore_thresholds": {}, "11_annotate": {"rater": "elsewhere"}}


def copied(project, name):
    """A notebook with the parameters of this test, as a file of the project."""
    source = json.loads((project / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))
    path = project / "notebooks" / f"elsewhere_{name}.ipynb"
    path.write_text(json.dumps(with_parameters(source, GIVEN[name])), encoding="utf-8")
    return path


def opened(chromium, address):
    """A page of one's own at an address."""
    page = chromium.new_context(viewport=SIZE).new_page()
    page.set_default_timeout(WAIT)
    page.goto(address)
    return page


@pytest.fixture(scope="module")
def notebook7(project, chromium, tmp_path_factory):
    """Notebook 7 on the project."""
    more = ("--JupyterNotebookApp.expose_app_in_browser=True",)
    yield from serve(project, tmp_path_factory.mktemp("notebook7"), "notebook", more)


@pytest.mark.parametrize("name", NAMES)
def test_the_widgets_open_in_notebook_7(notebook7, chromium, name, shots):
    path = copied(notebook7.folder, name)
    page = opened(chromium, f"{notebook7.url}/notebooks/notebooks/{path.name}?token={TOKEN}")
    page.wait_for_function(
        """() => {
          const kernel = window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel;
          return kernel && kernel.connectionStatus === "connected" && kernel.status === "idle";
        }"""
    )
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
    page.get_by_test_id(NAMES[name]).wait_for()
    page.get_by_test_id("stage").first.wait_for()
    page.screenshot(path=str(shots / f"notebook7_{name}.png"))
    page.context.close()


@pytest.mark.parametrize("name", NAMES)
def test_voila_serves_the_widgets_as_a_page_behind_a_token(project, chromium, name, tmp_path, shots):
    log = tmp_path / "voila.log"
    path = copied(project, name)
    command = [sys.executable, "-m", "voila", "--no-browser", "--token", f"--port={free_port()}", str(path)]
    with log.open("w") as said:
        server = subprocess.Popen(command, cwd=project, stdout=said, stderr=said, env=dict(os.environ))
    try:
        for _ in range(240):
            found = re.search(r"http://\S+:(\d+)/\?token=(\w+)", log.read_text())
            if found or server.poll() is not None:
                break
            time.sleep(0.25)
        assert found, log.read_text()
        port, token = found.groups()
        page = opened(chromium, f"http://127.0.0.1:{port}/")
        assert "login" in page.url, "without the token nothing is shown"
        page.context.close()
        page = opened(chromium, f"http://127.0.0.1:{port}/?token={token}")
        page.get_by_test_id(NAMES[name]).wait_for()
        page.get_by_test_id("stage").first.wait_for()
        page.screenshot(path=str(shots / f"voila_{name}.png"))
        page.context.close()
    finally:
        server.terminate()
        server.wait(timeout=30)
