"""A disk that is full in the middle of a group, and has room again later: what the log then holds, and what was acknowledged.

python log_full.py FOLDER: the disk is a limit on the size of a file, which needs no privilege.
"""

import asyncio
import json
import resource
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from mlops_assets.predictions.log.segments import all_segments, live_segments, read_lines
from mlops_assets.serving.capture import Capture
from mlops_assets.serving.options import ServerOptions
from mlops_assets.serving.problems import LogUnavailable

LINE_BYTES = 40_000


@dataclass
class Outcome:
    acknowledged: list[int]
    refused: list[int]
    logged: list[int]
    torn: int
    lines: int
    shed_lines: int
    failed_writes: int
    partial_bytes: int


def fill_and_free(folder: Path, set_room: Callable[[bool], None], *, log: Literal["closed", "shed"]) -> Outcome:
    """Commit before, while and after the disk has no room for a group; ids are numbers."""
    return asyncio.run(_fill_and_free(folder, set_room, log=log))


async def _fill_and_free(folder: Path, set_room: Callable[[bool], None], *, log: Literal["closed", "shed"]) -> Outcome:
    capture = Capture(folder, ServerOptions(log=log))
    acknowledged: list[int] = []
    refused: list[int] = []

    async def commit(number: int) -> None:
        line = json.dumps({"id": number, "pad": "x" * LINE_BYTES}).encode()
        try:
            await capture.commit("m", [line])
            acknowledged.append(number)
        except LogUnavailable:
            refused.append(number)

    await asyncio.gather(*(commit(number) for number in range(2)))
    set_room(False)
    for first in (2, 12):  # ten lines in a group: the disk is full after some of them
        await asyncio.gather(*(commit(number) for number in range(first, first + 10)))
    partial = sum(path.stat().st_size for path in live_segments(folder)) - sum(
        len(line) + 1 for path in live_segments(folder) for line in read_lines(path)[0]
    )
    set_room(True)
    await asyncio.gather(*(commit(number) for number in range(22, 32)))
    capture.close()
    read = [read_lines(path) for path in all_segments(folder)]
    logged = [json.loads(line)["id"] for lines, _ in read for line in lines]
    torn = sum(count for _, count in read)
    counters = capture.lines, capture.shed_lines, capture.failed_writes
    return Outcome(acknowledged, refused, logged, torn, *counters, partial_bytes=partial)


def limit_files(is_free: bool) -> None:
    """Let a file of this process have room for some of ten lines more."""
    most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (most if is_free else int(LINE_BYTES * 4.5), most))


if __name__ == "__main__":
    found = fill_and_free(Path(sys.argv[1]), limit_files, log="shed" if "shed" in sys.argv else "closed")
    sys.stdout.write(json.dumps(asdict(found)))
