"""What a table is, as one hash: its columns and values, however they are chunked, sliced or encoded."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa


def identity(table: pa.Table) -> str:
    """Return the sha256 of a table's schema and values, rows in their order.

    Values behind nulls do not count, dictionaries are decoded, and 32- and 64-bit offsets are the same type.
    """
    digest = hashlib.sha256()
    for name, column in zip(table.column_names, table.columns, strict=True):
        plain = _plain(column.combine_chunks())
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


def _parts(array: pa.Array) -> Iterator[bytes | memoryview]:
    """Yield bytes that depend on the values alone."""
    import pyarrow as pa
    import pyarrow.compute as pc

    yield _packed(array.is_valid())
    kind = array.type
    if pa.types.is_struct(kind):
        for index in range(kind.num_fields):
            yield from _parts(_plain(pc.struct_field(array, [index])))
    elif pa.types.is_large_list(kind):
        yield from _parts(pc.fill_null(pc.list_value_length(array), 0))
        yield from _parts(_plain(pc.list_flatten(array)))
    elif pa.types.is_large_string(kind) or pa.types.is_large_binary(kind):
        yield from _parts(pc.fill_null(pc.binary_length(array), 0))
        yield _concatenated(pc.fill_null(array, b"" if pa.types.is_large_binary(kind) else ""))
    elif pa.types.is_boolean(kind):
        yield _packed(pc.fill_null(array, False))
    elif not pa.types.is_null(kind):
        yield _fixed_width(array)


def _packed(flags: pa.Array) -> bytes:
    import numpy as np

    return np.packbits(flags.to_numpy(zero_copy_only=False)).tobytes()


def _concatenated(array: pa.Array) -> memoryview:
    import numpy as np

    _, offsets, data = array.buffers()
    if data is None:
        return memoryview(b"")
    bounds = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    return memoryview(data)[bounds[0] : bounds[-1]]


def _fixed_width(array: pa.Array) -> memoryview:
    import numpy as np

    width = array.type.bit_width // 8
    _, data = array.buffers()
    if data is None:
        return memoryview(b"")
    cells = np.frombuffer(data, np.uint8)[array.offset * width : (array.offset + len(array)) * width]
    if array.null_count:
        cells = cells.reshape(-1, width) * array.is_valid().to_numpy(zero_copy_only=False)[:, None]
    return memoryview(np.ascontiguousarray(cells)).cast("B")
