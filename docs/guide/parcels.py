"""Stand-ins for your own systems: parcels in PostgreSQL, queues behind a REST API, senders in a folder of Parquet files.

    python docs/guide/parcels.py --folder my_data --port 8765

fills the database that PARCELS_DATABASE_URL names, writes `my_data/senders/*.parquet`, and serves the API until Ctrl-C.
The API wants the token that PARCELS_API_TOKEN holds, answers in pages, and now and then says "429, come back in a second".
"""

import argparse
import json
import os
import sys
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pandas as pd
import sqlalchemy

START, WEEKS, PER_WEEK, PAGE = datetime(2025, 1, 5, tzinfo=UTC), 26, 700, 2000
DEPOTS = ["north", "harbour", "airport"]
SENDERS = 80


def queues() -> pd.DataFrame:
    """Return the number of waiting parcels per depot and hour: a daily wave, and a slow random walk."""
    rng = np.random.default_rng(1)
    hours = pd.date_range(START, START + timedelta(weeks=WEEKS), freq="h", inclusive="left")
    wave = 60 + 40 * np.sin(2 * np.pi * (hours.hour.to_numpy() - 6) / 24)
    frames = []
    for depot in DEPOTS:
        walk = np.clip(np.cumsum(rng.normal(0, 6, len(hours))), -50, 150)
        waiting = np.maximum(wave + walk, 0).round().astype(int)
        frames.append(pd.DataFrame({"depot": depot, "hour_start": hours, "waiting": waiting}))
    return pd.concat(frames, ignore_index=True)


def senders() -> pd.DataFrame:
    """Return who sends, from where, and how well they pack."""
    rng = np.random.default_rng(2)
    countries = rng.choice(["NO", "SE", "DK"], SENDERS)
    return pd.DataFrame(
        {"sender_id": np.arange(SENDERS), "country": countries, "packing_grade": rng.integers(1, 6, SENDERS)}
    )


def parcels() -> pd.DataFrame:
    """Return every parcel; long queues, bad packing and distance make it late. One in fifty is lost, twelve are misweighed."""
    rng, rows = np.random.default_rng(3), WEEKS * PER_WEEK
    shipped = pd.Series(START + pd.to_timedelta(np.sort(rng.uniform(0, WEEKS * 7 * 24 * 3600 - 1, rows)), unit="s"))
    frame = pd.DataFrame(
        {
            "parcel_id": np.arange(rows),
            "sender_id": rng.integers(0, SENDERS, rows),
            "depot": rng.choice(DEPOTS, rows),
            "weight_kg": rng.gamma(2, 2, rows).round(2),
            "distance_km": rng.uniform(5, 900, rows).round(1),
            "shipped_at": shipped.dt.floor("s"),
        }
    )
    hour = frame["shipped_at"].dt.floor("h") - pd.Timedelta(hours=1)
    waiting = (
        frame.assign(hour_start=hour).merge(queues(), on=["depot", "hour_start"], how="left")["waiting"].fillna(60)
    )
    grade = senders().set_index("sender_id")["packing_grade"].loc[frame["sender_id"]].to_numpy()
    logit = -1.2 + (waiting - 60) / 30 + (frame["distance_km"] - 450) / 300 + (3 - grade) / 2
    late = rng.random(rows) < 1 / (1 + np.exp(-logit))
    hours = np.where(late, rng.uniform(49, 90, rows), rng.uniform(10, 48, rows))
    frame["delivered_at"] = (frame["shipped_at"] + pd.to_timedelta(hours, unit="h")).dt.floor("s")
    frame.loc[rng.random(rows) < 0.02, "delivered_at"] = pd.NaT
    frame.loc[rng.choice(rows, 12, replace=False), "weight_kg"] = -1.0
    return frame


class Api(BaseHTTPRequestHandler):
    """`GET /v1/queues?since=…&until=…&page=…` with a bearer token."""

    table = queues()
    answered = 0

    def do_GET(self) -> None:
        """Answer one page, or say why not."""
        if self.headers.get("Authorization") != f"Bearer {os.environ['PARCELS_API_TOKEN']}":
            self._answer(401, {"error": "a bearer token is required"})
            return
        Api.answered += 1
        if Api.answered % 7 == 0:
            self._answer(429, {"error": "slow down"}, **{"Retry-After": "1"})
            return
        asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        hours = self.table["hour_start"]
        since, until = (pd.Timestamp(asked[name]) for name in ("since", "until"))
        rows = self.table[(hours >= since) & (hours < until)]
        page = int(asked.get("page", 1))
        part = rows.iloc[(page - 1) * PAGE : page * PAGE]
        data = json.loads(part.to_json(orient="records", date_format="iso"))
        self._answer(200, {"data": data, "pages": -(-len(rows) // PAGE)})

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the signature of the standard library
        """Say nothing: a request is no news."""

    def _answer(self, status: int, body: object, **headers: str) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


def main() -> None:
    """Fill the database and the folder, then serve the API."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where the Parquet files go")
    parser.add_argument("--port", type=int, default=8765)
    options = parser.parse_args()
    engine = sqlalchemy.create_engine(os.environ["PARCELS_DATABASE_URL"])
    parcels().to_sql("parcels", engine, if_exists="replace", index=False, chunksize=5000)
    (options.folder / "senders").mkdir(parents=True, exist_ok=True)
    for country, part in senders().groupby("country"):
        part.to_parquet(options.folder / "senders" / f"{country}.parquet", index=False)
    server = ThreadingHTTPServer(("127.0.0.1", options.port), Api)
    sys.stdout.write(f"parcels are in the database, senders in {options.folder}, queues at port {options.port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
