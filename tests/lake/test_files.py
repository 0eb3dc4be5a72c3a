"""Whole files: old or new, never a part."""

import threading

import pytest

from mlops_assets.lake.files import exists, list_files, list_folders, read_bytes, write_bytes


def test_written_bytes_come_back_and_replace_earlier_ones(place):
    uri = f"{place}/a/b/file.json"
    assert not exists(uri)
    with pytest.raises(FileNotFoundError):
        read_bytes(uri)
    for data in (b"one", b"two"):
        write_bytes(uri, data)
        assert read_bytes(uri) == data
    assert exists(uri)


def test_listing_is_sorted_deep_and_leaves_out_unfinished_files(place):
    for name in ("b.json", "a/z.json", "a/y.json", "a/half.tmp"):
        write_bytes(f"{place}/{name}", b"x")
    assert list_files(place) == [f"{place}/{name}" for name in ("a/y.json", "a/z.json", "b.json")]
    assert list_files(f"{place}/nowhere") == []


def test_folders_are_those_directly_inside(place):
    for name in ("b.json", "b b/z.json", "a/y.json", "a/c/x.json"):
        write_bytes(f"{place}/{name}", b"x")
    assert list_folders(place) == [f"{place}/a", f"{place}/b b"]
    assert list_folders(f"{place}/nowhere") == []


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path):
    uri = f"{tmp_path}/file"
    write_bytes(uri, b"old")
    with pytest.raises(TypeError):
        write_bytes(uri, "not bytes")  # type: ignore[arg-type]
    assert read_bytes(uri) == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_reader_never_sees_a_part(place):
    uri, sizes, stop = f"{place}/file", set(), threading.Event()
    write_bytes(uri, b"x" * 10)

    def read() -> None:
        while not stop.is_set():
            data = read_bytes(uri)
            sizes.add(len(data))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(20):
        write_bytes(uri, b"x" * 500_000)
        write_bytes(uri, b"x" * 10)
    stop.set()
    reader.join()
    assert sizes <= {10, 500_000}
