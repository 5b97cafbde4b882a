"""`python -m lusnb.study run <profile>`: see graph.py."""

from lusnb.study.graph import main

main()
