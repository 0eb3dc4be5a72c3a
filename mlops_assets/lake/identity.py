"""What a table is, as one hash: its columns and values, however they are chunked, sliced or encoded."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from mlops_assets.lake.stored_table import StoredTable


def identity(table: pa.Table | StoredTable) -> str:
    """Return the sha256 of a table's schema and values, rows in their order.

    Values behind nulls do not count, dictionaries are decoded, and 32- and 64-bit offsets are the same type.
    """
    digest = hashlib.sha256()
    for name in table.column_names:  # one at a time: a table that is stored elsewhere reads each when it is asked for
        plain = _plain(table[name].combine_chunks())
        digest.update(f"{name}\0{plain.type}\0{len(plain)}\0".encode())
        for part in _parts(plain):
            digest.update(part)
    return digest.hexdigest()


def _plain(array: Any) -> Any:
    import pyarrow as pa

    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_string(array.type) or pa.types.is_string_view(array.type):
        return array.cast(pa.large_string())
    if pa.types.is_binary(array.type) or pa.types.is_binary_view(array.type):
        return array.cast(pa.large_binary())
    return array.cast(pa.large_list(array.type.value_type)) if pa.types.is_list(array.type) else array


def _parts(array: Any) -> Iterator[bytes]:
    """Yield bytes that depend on the values alone."""
    from pyarrow import types

    yield _packed(array.is_valid())
    kind = array.type
    if types.is_struct(kind):
        for child in array.flatten():
            yield from _parts(_plain(child))
    elif types.is_large_list(kind):
        yield from _parts(array.value_lengths().fill_null(0))
        yield from _parts(_plain(array.flatten()))
    elif types.is_large_string(kind) or types.is_large_binary(kind):
        yield from _variable_width(array.fill_null(b"" if types.is_large_binary(kind) else ""))
    elif types.is_boolean(kind):
        yield _packed(array.fill_null(False))
    elif not types.is_null(kind):
        yield _fixed_width(array)


def _packed(flags: pa.Array) -> bytes:
    import numpy as np

    return np.packbits(flags.to_numpy(zero_copy_only=False)).tobytes()


def _variable_width(array: pa.Array) -> Iterator[bytes]:
    import numpy as np

    _, offsets, data = array.buffers()
    if offsets is None or data is None:
        return
    bounds = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    yield np.diff(bounds).tobytes()
    yield bytes(memoryview(data)[bounds[0] : bounds[-1]])


def _fixed_width(array: pa.Array) -> bytes:
    import numpy as np

    width = array.type.bit_width // 8
    _, data = array.buffers()
    if data is None:
        return b""
    cells = np.frombuffer(data, np.uint8)[array.offset * width : (array.offset + len(array)) * width]
    if array.null_count:
        cells = cells.reshape(-1, width) * array.is_valid().to_numpy(zero_copy_only=False)[:, None]
    return cells.tobytes()
