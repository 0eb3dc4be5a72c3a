"""CPU and latency of a request with everything on, against an empty ASGI app and `mlflow models serve` of the same model.

Ours: API key, caps, strict validation, features of four views looked up in SQLite, a sticky split with both arms live, the
durable log, metrics. One worker each, the same uvicorn, one row a request, 200 different flights in turn, wrk on the same machine.
The rounds are interleaved; CPU is that of the whole process tree of a server. BentoML takes part if it is installed.
"""

import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.report import at_least, at_most, conditions, finish
from benchmarks.served_flights import Flights, prepare
from benchmarks.under_load import Server, ask, free_port, started

ROUNDS = 4
NOOP = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": b"{}"})
"""
BENTO = """
import bentoml, mlflow.sklearn, pandas as pd

@bentoml.service(workers=1)
class Flights:
    def __init__(self):
        self.pipeline = mlflow.sklearn.load_model({model!r})

    @bentoml.api
    def invocations(self, dataframe_records: list[dict]) -> list[float]:
        return self.pipeline.predict_proba(pd.DataFrame(dataframe_records))[:, 1].tolist()
"""


def main() -> None:
    """Prepare a version of the demo's model, ask every server in turn, report."""
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed (Debian: apt-get install wrk).")
    under = conditions(["fastapi", "uvicorn", "mlflow", "onnxruntime", "mlops-assets"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        servers = contestants(folder, prepare(folder))
        for _ in range(ROUNDS):
            for server in servers:
                with started(server, folder):
                    ask(server, folder)
    report({server.name: server for server in servers}, under)


def contestants(folder: Path, flights: Flights) -> list[Server]:
    """Return the servers with what each of them is asked."""
    (folder / "noop.py").write_text(NOOP)
    python = sys.executable
    bind = ("--host", "127.0.0.1", "--port")
    ports = [free_port() for _ in range(4)]
    noop = [python, "-m", "uvicorn", "noop:app", *bind, str(ports[0]), "--loop", "uvloop", "--http", "httptools"]
    ours = [python, "-m", "mlops_assets.cli.app", "serve", *bind, str(ports[1]), "--keys-file", str(flights.keys)]
    theirs = [python, "-m", "mlflow", "models", "serve", "-m", str(flights.mlflow_model), "--env-manager", "local"]
    records = [json.dumps({"dataframe_records": [one]}) for one in flights.requests]
    features = [json.dumps({"dataframe_records": [one]}) for one in flights.vectors]
    servers = [
        Server("noop", [*noop, "--no-access-log", "--log-level", "warning"], "/invocations", records, ports[0]),
        Server(
            "ours",
            ours,
            "/models/flight_delay/invocations",
            records,
            ports[1],
            headers={"Authorization": f"Bearer {flights.token}"},
            env=flights.env,
        ),
        Server("mlflow", [*theirs, *bind[:2], "-p", str(ports[2])], "/invocations", features, ports[2], seconds=8),
    ]
    if shutil.which("bentoml"):
        (folder / "bento.py").write_text(BENTO.format(model=str(flights.mlflow_model)))
        bento = ["bentoml", "serve", "bento:Flights", *bind, str(ports[3])]
        servers.append(Server("bentoml", bento, "/invocations", features, ports[3], seconds=8))
    return servers


def report(servers: Mapping[str, Server], under: Mapping[str, object]) -> None:
    """Print figures and goals; ratios are of the medians over the rounds."""
    cpu = {name: statistics.median(server.cpu_us) for name, server in servers.items()}
    p99 = {name: statistics.median(server.p99_ms) for name, server in servers.items()}
    rate = {name: statistics.median(server.rate) for name, server in servers.items()}
    goals = [
        at_most("CPU of ours / noop", cpu["ours"] / cpu["noop"], 5),
        at_least("CPU of mlflow / ours", cpu["mlflow"] / cpu["ours"], 100),
        at_most("p99 of ours / noop", p99["ours"] / p99["noop"], 5),
        at_least("requests/s of ours", rate["ours"], 2300),
        at_most("p99 of ours in ms", p99["ours"], 50),
    ]
    if "bentoml" in cpu:
        goals.append(at_least("CPU of bentoml / ours", cpu["bentoml"] / cpu["ours"], 15))
    figures = {
        f"{name}_{what}": value[name]
        for what, value in (("cpu_us", cpu), ("p99_ms", p99), ("per_s", rate))
        for name in servers
    }
    finish(
        "serving",
        figures=figures,
        goals=goals,
        under={**under, "load_after": os.getloadavg()[0], "ended": datetime.now(UTC).isoformat()},
    )


if __name__ == "__main__":
    main()
