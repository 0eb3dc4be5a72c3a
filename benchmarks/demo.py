"""What `mlops demo` costs in an empty home, after installation: wall and CPU seconds of the command as a user runs it."""

import os
import resource
import subprocess
import sys
import tempfile
import time

from benchmarks.report import at_most, conditions, finish

COMMAND = [sys.executable, "-m", "mlops_assets.cli.app", "demo"]
FIVE_MINUTES = 300.0


def main() -> None:
    """Run the demo once, then report."""
    under = conditions(["dagster", "dlt", "duckdb", "evidently", "mlflow", "xgboost"])
    with tempfile.TemporaryDirectory() as home:
        started = time.perf_counter()
        subprocess.run(COMMAND, env={**os.environ, "MLOPS_HOME": home}, stdout=sys.stderr, check=True)
        wall = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    figures = {"demo_wall_s": wall, "demo_cpu_s": used.ru_utime + used.ru_stime}
    finish("demo", figures=figures, goals=[at_most("demo_wall_s", wall, FIVE_MINUTES)], under=under)


if __name__ == "__main__":
    main()
