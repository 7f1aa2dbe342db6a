"""Benchmarks: the pipeline, the update and the control tick against peers and against what the machine can do.

`python -m benchmarks` measures all of them in one run (4 to 6 minutes on two idle cores) and writes build/bench.json.
"""
