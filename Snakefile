# Runs the nodes of a study, each by lusnb/study/nodes.py, which lusnb/study/ask.py asks for. `make study PROFILE=quick`
# calls it, with a plan: which nodes run at all is asked in lusnb/study/graph.py. By hand, `snakemake -j2 --config profile=quick` asks every node in its turn.
import json
import shlex
import sys
from pathlib import Path

from lusnb.study import graph, profile as study

BASE = Path(workflow.basedir)
PLAN = config.get("plan")
CHOSEN = set(json.loads((BASE / PLAN).read_text(encoding="utf-8"))) if PLAN else None
PROFILE = min(CHOSEN).split("/")[0] if CHOSEN else str(config.get("profile", "quick"))
STUDY = study.load(PROFILE, BASE)
study.check(STUDY, BASE)
NODES = [node for node in study.nodes(STUDY) if CHOSEN is None or node.folder in CHOSEN]


rule all:
    input:
        [graph.mark(node) for node in NODES],


for node in NODES:

    rule:
        name:
            node.folder.removeprefix(f"{PROFILE}/").replace("/", "__")
        input:
            [graph.mark(needed) for needed in node.needs if needed in NODES],
        output:
            touch(graph.mark(node)),
        params:
            node=node.folder,
        shell:
            f"{shlex.quote(sys.executable)} -m lusnb.study.ask {{params.node:q}}"
