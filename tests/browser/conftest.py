"""A real JupyterLab in a real Chromium: a notebook opened by its file, and its kernel to read back from.

The project that is opened is a copy: notebooks, profiles and a small phantom cohort, in a folder of its
own. Screenshots are kept below `$LUSNB_SCREENSHOTS`, or in the temporary folder of pytest.
"""

import ast
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import PROJECT

CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
TOKEN = "test"
WAIT = 60_000  # ms, of anything in the page
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
SIZE = {"width": 1500, "height": 1000}


def pytest_collection_modifyitems(items: list) -> None:
    """All of these belong to `make test-all`."""
    for item in items:
        if Path(item.fspath).is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def project(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project: notebooks, profiles and one cohort, phantom_smoke (6 patients, 26 clips, 64 px)."""
    base = tmp_path_factory.mktemp("lab") / "project"
    for name in ("notebooks", "params"):
        shutil.copytree(PROJECT / name, base / name)
    shutil.copytree(phantom, base / "data" / "phantom_smoke")
    return base


def eventually(so: Callable[[], bool], seconds: float = 30) -> bool:
    """Whether something comes to be so, asked again and again: a page shows a thing when it can."""
    end = time.monotonic() + seconds
    while not (found := so()) and time.monotonic() < end:
        time.sleep(0.1)
    return bool(found)


# what the cells say that is no result, from the notebook itself: cells out of sight are not rendered
SAID = """() => [...window.jupyterapp.shell.currentWidget.content.model.cells]
  .filter(cell => cell.type === "code")
  .flatMap(cell => cell.outputs.toJSON())
  .filter(output => output.output_type === "error" || output.name === "stderr")
  .map(output => [output.evalue ?? "", ...(output.traceback ?? [].concat(output.text))].join("\\n"))"""


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab: its address, the folder it serves and its connection files."""

    url: str
    folder: Path
    runtime: Path


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def serve(project: Path, place: Path, program: str = "lab", more: tuple[str, ...] = ()) -> Iterator[Lab]:
    """Start a server on a project and end it with all its kernels."""
    port, runtime = free_port(), place / "runtime"
    here = {
        name: str(place / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")
    }
    environment = os.environ | here | {"JUPYTER_RUNTIME_DIR": str(runtime)}
    environment.pop("JUPYTERLAB_SETTINGS_DIR", None)
    news = place / "jupyter_config_dir" / "lab/user-settings/@jupyterlab/apputils-extension"
    news.mkdir(parents=True, exist_ok=True)
    (news / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')  # its question covers
    asked = ["--no-browser", "--ip=127.0.0.1", f"--port={port}", f"--IdentityProvider.token={TOKEN}"]
    asked += [f"--ServerApp.root_dir={project}", "--allow-root", *more]
    with (place / "server.log").open("w") as log:
        command = [sys.executable, "-m", "jupyter", program, *asked]
        server = subprocess.Popen(command, env=environment, cwd=project, stdout=log, stderr=log)
    lab = Lab(f"http://127.0.0.1:{port}", project, runtime)
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{lab.url}/api/status?token={TOKEN}", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None, (place / "server.log").read_text()[-3000:]
                time.sleep(0.25)
        yield lab
    finally:
        server.terminate()
        server.wait(timeout=30)


@pytest.fixture(scope="session")
def lab(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab on the project, for all tests."""
    more = ("--LabApp.expose_app_in_browser=True", "--LabApp.news_url=None")
    yield from serve(project, tmp_path_factory.mktemp("jupyter"), "lab", more)


@pytest.fixture(scope="session")
def chromium() -> Iterator:
    """Chromium, headless; skips clearly where there is none."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here: install Debian's package `chromium` to run the browser tests")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots are kept."""
    folder = os.environ.get("LUSNB_SCREENSHOTS")
    return Path(folder) if folder else tmp_path_factory.mktemp("screenshots")


def with_parameters(source: dict, values: dict) -> dict:
    """A notebook whose parameters cell has other defaults. Raises KeyError for one that it does not have."""
    cell = next(c for c in source["cells"] if "parameters" in c["metadata"].get("tags", []))
    lines, left = "".join(cell["source"]).splitlines(), dict(values)
    for k, line in enumerate(lines):
        name, kind = line.partition(":")[0], line.partition(":")[2].partition("=")[0].strip()
        if name in left:
            lines[k] = f"{name}: {kind} = {left.pop(name)!r}  # of this test"
    if left:
        raise KeyError(f"no such parameters: {', '.join(left)}")
    cell["source"] = "\n".join(lines)
    return source


class NotebookPage:
    """A notebook open in JupyterLab."""

    def __init__(self, lab: Lab, page: object, name: str, shots: Path):
        self.lab, self.page, self.name, self.shots, self.project = lab, page, name, shots, lab.folder
        self.client = None
        self.open()

    def open(self) -> None:
        """Open the notebook by its file and wait until its kernel answers."""
        where = f"/lab/workspaces/auto-x/tree/notebooks/{self.name}.ipynb?reset&token={TOKEN}"
        self.page.goto(self.lab.url + where)
        self.until_idle()

    def until_idle(self) -> None:
        """Wait until the page's websocket is connected and the kernel has nothing to do."""
        self.page.wait_for_function(
            """() => {
              const kernel = window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel;
              return kernel && kernel.connectionStatus === "connected" && kernel.status === "idle";
            }""",
            timeout=WAIT,
        )

    def command(self, name: str) -> None:
        """Run one of JupyterLab's own commands."""
        self.page.evaluate("name => { window.jupyterapp.commands.execute(name); }", name)

    def run_all(self) -> None:
        """Run every cell and wait for the last; AssertionError with what a cell that failed says."""
        count = self.page.evaluate("() => window.jupyterapp.shell.currentWidget.content.widgets.length")
        assert count, "the notebook has no cells"
        self.page.evaluate(
            "async () => { await window.jupyterapp.commands.execute('notebook:run-all-cells'); }"
        )
        self.until_idle()
        told = [text for text in self.page.evaluate(SAID) if "Error" in text or "Traceback" in text]
        assert not told, "\n".join(told)

    def widget(self, testid: str) -> object:
        """Locator of what carries a data-testid."""
        return self.page.get_by_test_id(testid)

    def _kernel(self) -> object:
        from jupyter_client import BlockingKernelClient

        kernel = self.page.evaluate(
            "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.id"
        )
        client = BlockingKernelClient(connection_file=str(self.lab.runtime / f"kernel-{kernel}.json"))
        client.load_connection_file()
        client.start_channels()
        client.wait_for_ready(timeout=60)
        return client

    def execute(self, code: str) -> None:
        """Run code in the notebook's own kernel; raises RuntimeError with what the kernel says."""
        self._asked(code, {})

    def python(self, expression: str) -> object:
        """The value of an expression in the notebook's own kernel: numbers, texts, lists, bytes and such."""
        reply = self._asked("", {"value": f"repr({expression})"})["user_expressions"]["value"]
        if reply["status"] != "ok":
            raise RuntimeError("\n".join(reply["traceback"]))
        return ast.literal_eval(ast.literal_eval(reply["data"]["text/plain"]))

    def _asked(self, code: str, expressions: dict) -> dict:
        client = self._kernel()
        try:
            reply = client.execute(
                code, silent=not code, user_expressions=expressions, reply=True, timeout=60
            )
        finally:
            client.stop_channels()
        if reply["content"]["status"] != "ok":
            raise RuntimeError("\n".join(reply["content"].get("traceback", [str(reply["content"])])))
        return reply["content"]

    def reload(self) -> None:
        """Load the page again: the kernel goes on."""
        self.page.reload()
        self.until_idle()

    def restart_kernel(self) -> None:
        """Restart the kernel without asking; nothing is run."""
        restart = "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
        self.page.evaluate(restart)
        self.until_idle()

    def theme(self, name: str) -> None:
        """Switch JupyterLab's theme: light or dark."""
        full = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}[name]
        command = "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})"
        self.page.evaluate(command, full)
        self.page.wait_for_function(
            "light => document.body.dataset.jpThemeLight === light", arg=str(name == "light").lower()
        )

    def screenshot(self, name: str) -> Path:
        """Keep a picture of the page."""
        path = self.shots / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=str(path))
        print(f"screenshot: {path}")
        return path


@pytest.fixture
def own_cohort(project: Path, phantom: Path, request: pytest.FixtureRequest) -> str:
    """A copy of the small phantom for whoever paints: its folder, as the project names it."""
    name = "".join(one if one.isalnum() else "_" for one in request.node.name)
    shutil.copytree(phantom, project / "data" / name)
    return f"data/{name}"


@pytest.fixture
def notebook(lab: Lab, chromium: object, shots: Path, request: pytest.FixtureRequest) -> Iterator[Callable]:
    """Open a copy of a notebook with parameters of one's own: `notebook("11_annotate", rater="anna")`."""
    opened = []

    def make(name: str, /, dense: float = 1.0, **values: object) -> NotebookPage:
        source = json.loads((PROJECT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))
        copy = f"{name}_{request.node.name.replace('[', '_').replace(']', '')}_{len(opened)}"
        path = lab.folder / "notebooks" / f"{copy}.ipynb"
        path.write_text(json.dumps(with_parameters(source, values)), encoding="utf-8")
        context = chromium.new_context(viewport=SIZE, device_scale_factor=dense)
        opened.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT)
        return NotebookPage(lab, page, copy, shots)

    yield make
    for context in opened:
        context.close()
    _end_kernels(lab)


def _end_kernels(lab: Lab) -> None:
    """End the kernels of a test: each takes memory."""
    address = f"{lab.url}/api/sessions"
    headers = {"Authorization": f"token {TOKEN}"}
    with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=30) as reply:
        sessions = json.load(reply)
    for session in sessions:
        gone = urllib.request.Request(f"{address}/{session['id']}", headers=headers, method="DELETE")
        with contextlib.suppress(urllib.error.HTTPError):  # of a kernel that a test has killed
            urllib.request.urlopen(gone, timeout=30).close()
