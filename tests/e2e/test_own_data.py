"""Three guides, followed to the letter: PostgreSQL, a REST API and Parquet files to an answer of the server; a second model that
is tuned, judged, approved, copied, made again and read from a notebook; then a server with keys, workers and a log.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from services import postgres  # noqa: F401  a fixture
from shop.location import free_port

from mlops_assets.lake import tables
from mlops_assets.lake.state import open_state
from mlops_assets.registry.lifecycle import cards
from tests.conftest import ROOT

GUIDES = ("docs/guide/your-own-data.md", "docs/guide/versions.md", "docs/guide/serving.md")
COPIED = ("mlops_assets", "dlt_pipelines", "docs", "workspace.yaml", "pyproject.toml", ".dlt")
FILE = re.compile(r"^`(\S+\.yaml)`:\n\n```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMANDS = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
NOTEBOOK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
MARK = "=== the next guide ==="
TOKEN = "a-token-of-your-choice"


@dataclass(frozen=True)
class Followed:
    """What the guide's commands left behind."""

    folder: Path
    output: str

    @property
    def lake(self) -> str:
        return str(self.folder / ".mlops" / "lake" / "dev")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    return folder


@pytest.fixture
def followed(checkout: Path, postgres: str) -> Followed:  # noqa: F811  the fixture
    texts = [(checkout / guide).read_text() for guide in GUIDES]
    text = f"\n```console\n$ echo; echo '{MARK}'\n```\n".join(texts)
    text = re.sub(r"(?<=PARCELS_DATABASE_URL=)\S+", postgres, text)
    api, serve = str(free_port()), str(free_port())
    text = text.replace("8765", api).replace("my_data &", f"my_data --port {api} &")
    text = text.replace("localhost:8080", f"localhost:{serve}").replace(
        "mlops serve &", f"mlops serve --port {serve} &"
    )
    for port in ("8090", "8091"):
        text = text.replace(port, str(free_port()))
    for name, content in FILE.findall(text):
        (checkout / name).parent.mkdir(parents=True)
        (checkout / name).write_text(content)
    lines = [line.removeprefix("$ ") for block in COMMANDS.findall(text) for line in block.splitlines()]
    (cells,) = NOTEBOOK.findall(text)
    (checkout / "notebook.py").write_text(cells)
    lines = ["set -e", *(line for line in lines if not line.startswith("source ")), "python notebook.py"]
    script = "\n".join(lines)
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("MLOPS_", "DAGSTER_"))}
    environ |= {"PATH": f"{Path(sys.executable).parent}:{environ['PATH']}", "PYTHONPATH": str(checkout)}
    log = checkout / "log"
    with log.open("w") as file:
        process = subprocess.Popen(
            ["bash", "-c", script], cwd=checkout, env=environ, stdout=file, stderr=file, start_new_session=True
        )
        code = process.wait(timeout=560)
    os.killpg(process.pid, signal.SIGTERM)  # the stand-in and the server
    assert code == 0, log.read_text()[-5000:]
    return Followed(checkout, log.read_text())


@pytest.mark.slow
@pytest.mark.service
@pytest.mark.timeout(590)
def test_the_guides_lead_from_three_systems_to_an_answer(followed: Followed) -> None:
    answered, told, _ = followed.output.split(MARK)
    answer = json.loads(answered.splitlines()[-1])
    (probability,) = answer["predictions"]

    assert 0.5 < probability < 1  # badly packed, far away, into a long queue
    assert tables.read(f"{followed.lake}/raw/depots/queues").num_rows == 3 * 26 * 7 * 24
    assert tables.read(f"{followed.lake}/raw/senders/senders").num_rows == 80
    parcels, set_aside = (tables.read(f"{followed.lake}/{area}/parcels/parcels") for area in ("raw", "quarantine"))
    assert (parcels.num_rows, set_aside.num_rows) == (26 * 700 - 12, 12)
    assert set(map(tuple, set_aside["failed_rules"].to_pylist())) == {("range_weight_kg",)}

    stopping = followed.folder / ".mlops" / "servers"  # the server takes its heartbeat away
    files = (path for path in (followed.folder / ".mlops").rglob("*") if not path.is_relative_to(stopping))
    kept = [path for path in files if path.is_file()]

    assert len(kept) > 100
    assert [path for path in kept if TOKEN.encode() in path.read_bytes()] == []
    assert TOKEN not in followed.output

    state, staging = open_state(followed.lake), open_state(followed.lake.replace("dev", "staging"))
    (card,), (copy,) = cards(state, "slow_parcel"), cards(staging, "slow_parcel")
    assert (card.status, card.decisions[-1].why) == ("approved", "Read the card with the depot managers.")
    assert (copy.status, copy.candidate_id, copy.copied_from) == ("pending", card.candidate_id, "dev.slow_parcel@1")
    assert "identical" in told
    of_seven = parcels["sender_id"].to_pylist().count(7)
    assert re.search(rf"raw/parcels/parcels +│ table +│ {of_seven} ", told)
    pages = [path.name for path in (followed.folder / ".mlops" / "mlartifacts").rglob("*.html")]
    assert {"report.html", "model_card.html"} <= set(pages)
    require_every_answer_in_the_log(followed, before=answer["event_id"])


def require_every_answer_in_the_log(followed: Followed, *, before: str) -> None:
    """The answer of the first guide's server is in the table once that server has closed its segment, which is up to the clock."""
    table = tables.read(f"{followed.lake}/prediction_log/late_parcel").to_pylist()
    senders = {row["sender_id"]: row for row in tables.read(f"{followed.lake}/raw/senders/senders").to_pylist()}
    answers = [row for row in table if row["sender_id"] is not None and row["http_status"] == 200]
    served = [row for row in answers if row["event_id"] != before]
    assert [row["packing_grade"] for row in served] == [
        senders[int(row["sender_id"])]["packing_grade"] for row in served
    ]
    assert sorted(row["waiting"] or 0 for row in served) == [0, 0, 160]
    (feedback,) = tables.read(f"{followed.lake}/feedback/late_parcel").to_pylist()
    (labelled,) = (row for row in served if row["event_id"] == feedback["event_id"])
    assert (labelled["waiting"], labelled["http_status"]) == (160, 200)
