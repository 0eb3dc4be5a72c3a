"""Speed, measured side by side in one run. `python -m benchmarks.<name>` needs no arguments and prints its result as its last line.

Add here: a question about cost with a goal. Keep out: assertions; a benchmark reports, it does not judge.
"""
