"""Types that several threads read for the first time at once: msgspec alone ends the process (SIGSEGV) here."""

import subprocess
import sys

import msgspec
import pytest

from mlops_assets.decoding import converted, decoder

FIRST_READS = """
import sys, threading, types
from mlops_assets.decoding import converted, decoder

TYPES = '''
import dataclasses, msgspec

class Part(msgspec.Struct):
    name: "str"
    share: "float | None"

@dataclasses.dataclass
class Whole:
    parts: "tuple[Part, ...]"
    counts: "dict[str, tuple[int, ...]]"
'''
VALUE = {"parts": [{"name": "a", "share": 0.5}], "counts": {"a": [1, 2]}}
TEXT = b'{"parts": [{"name": "a", "share": 0.5}], "counts": {"a": [1, 2]}}'
READ = [lambda of: converted(VALUE, of), lambda of: decoder(of).decode(TEXT)] * 2
sys.setswitchinterval(1e-6)

def fresh(number):
    module = types.ModuleType(f"fresh_{number}")
    sys.modules[module.__name__] = module
    exec(TYPES, vars(module))
    return module

for number in range(100):
    module, meeting, found = fresh(number), threading.Barrier(len(READ)), []

    def first(read):
        meeting.wait()
        found.append(read(module.Whole))

    threads = [threading.Thread(target=first, args=(read,)) for read in READ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [module.Whole((module.Part("a", 0.5),), {"a": (1, 2)})] * len(READ)
"""


def test_threads_may_read_a_type_for_the_first_time_at_once():
    command = [sys.executable, "-X", "faulthandler", "-c", FIRST_READS]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_does_not_fit_is_refused():
    with pytest.raises(msgspec.ValidationError, match="Expected `int`"):
        converted(["a"], tuple[int, ...])
    with pytest.raises(msgspec.ValidationError, match="Expected `int`"):
        decoder(tuple[int, ...]).decode(b'["a"]')
    with pytest.raises(msgspec.DecodeError, match="truncated"):
        decoder(tuple[int, ...]).decode(b"[")
