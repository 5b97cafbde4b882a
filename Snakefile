# The graph of a profile: papermill runs every node. `make study PROFILE=quick` calls it.
# Which nodes there are, what they need and what makes them run again: lusnb/study.py, graph.py and reruns.py.
import json
import shlex
import sys
from pathlib import Path

from lusnb import graph, outputs, reruns, study

BASE = Path(workflow.basedir)
PROFILE = config.get("profile", "quick")
STUDY = study.load(PROFILE, BASE)
NODES = study.nodes(STUDY)
study.check(STUDY, BASE)
for cohort in STUDY.cohorts:
    graph.forget_changed_cohort(PROFILE, cohort, BASE)


rule all:
    input:
        [f"runs/{node.folder}/finished" for node in NODES],


for node in NODES:

    rule:
        name:
            node.folder.removeprefix(f"{PROFILE}/").replace("/", "__")
        input:
            [path for needed in node.needs for path in outputs.of_run(needed.notebook, needed.folder)],
        output:
            outputs.of_run(node.notebook, node.folder),
        log:
            notebook=f"runs/{node.folder}/notebook.ipynb",
        params:
            arguments=study.papermill_arguments(node, BASE),
            asked=json.dumps(graph.fingerprint(node, BASE), sort_keys=True),
            code=reruns.code_fingerprint(node.notebook, BASE),
            notebook=f"notebooks/{node.notebook}.ipynb",
        shell:
            f"OMP_NUM_THREADS=1 {shlex.quote(sys.executable)} -m papermill --no-progress-bar --log-level ERROR"
            " {params.notebook} {log.notebook} {params.arguments}"
            " 2> >(grep -v 'Kernel is running over TCP' >&2)"  # kernels listen on this machine alone

