"""A process that commits to the prediction log from many tasks and notes each acknowledgement after it came.

python log_writer.py FOLDER ACKNOWLEDGED NAME TASKS LINE_BYTES LOG_BYTES [FSYNC]
"""

import asyncio
import os
import sys
from itertools import count
from pathlib import Path

from mlops_assets.serving.capture import Capture
from mlops_assets.serving.options import ServerOptions


async def write(
    folder: Path, acknowledged: int, name: str, tasks: int, line_bytes: int, options: ServerOptions
) -> None:
    capture, numbers = Capture(folder, options), count()

    async def one() -> None:
        while True:
            ids = [f"{name}-{next(numbers)}" for _ in range(3)]
            await capture.commit("m", [b'{"id":"%s","pad":"%s"}' % (i.encode(), b"x" * line_bytes) for i in ids])
            os.write(acknowledged, "".join(f"{i}\n" for i in ids).encode())

    await asyncio.gather(*(one() for _ in range(tasks)))


if __name__ == "__main__":
    folder, acknowledged, name, *numbers = sys.argv[1:]
    tasks, line_bytes, log_bytes = map(int, numbers[:3])
    descriptor = os.open(acknowledged, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    options = ServerOptions(log_bytes=log_bytes, log_seconds=0.2, log_fsync=len(numbers) > 3)
    asyncio.run(write(Path(folder), descriptor, name, tasks, line_bytes, options))
