import csv
import gzip
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from unweave.datasets.tables import rows
from unweave.errors import UnweaveError
from unweave.fetch import read_member

ROWS = [
    {"text": 'a "quoted",\ncomma', "kind": "x"},
    {"text": "ünïcode 語", "kind": "y"},
    {"text": "long " * 40_000, "kind": "x"},
]


def as_csv(delimiter: str = ",") -> bytes:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, ["text", "kind"], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(ROWS)
    return file.getvalue().encode()


def as_jsonl() -> bytes:
    return "".join(json.dumps(row) + "\n\n" for row in ROWS).encode()


def as_parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), sink)
    return sink.getvalue()


def zipped(name: str, content: bytes, more: dict[str, bytes] | None = None) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("folder/", b"")
        for member, data in {f"folder/{name}": content, **(more or {})}.items():
            archive.writestr(member, data)
    return sink.getvalue()


FORMATS: dict[str, Callable[[], bytes]] = {
    "t.csv": as_csv,
    "t.tsv": lambda: as_csv("\t"),
    "t.jsonl": as_jsonl,
    "t.parquet": as_parquet,
    "with-mark.csv": lambda: b"\xef\xbb\xbf" + as_csv(),
    "t.csv.gz": lambda: gzip.compress(as_csv()),
    "t.jsonl.zst": lambda: pa.compress(as_jsonl(), codec="zstd", asbytes=True),
    "t.csv.zst": lambda: pa.compress(as_csv(), codec="zstd", asbytes=True),
    "any-name.zip": lambda: zipped("t.csv", as_csv()),
    "parquet.zip": lambda: zipped("t.parquet", as_parquet()),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_rows_from_disk_and_from_a_wheel(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(FORMATS[name]())
    assert list(rows(path)) == ROWS
    with zipfile.ZipFile(tmp_path / "w.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.write(path, f"package/{name}")
    with zipfile.ZipFile(tmp_path / "w.whl") as wheel:
        assert list(rows(zipfile.Path(wheel) / "package" / name)) == ROWS


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"text\n\xff\xfe\n", "not a readable table"),
        ("t.jsonl", b'{"text": "a"}\n{"text": \n', "after row 1"),
        ("t.jsonl", b"[1, 2]\n", "a line is not a JSON object"),
        ("t.parquet", b"PAR1 no", "not a readable table after row 0"),
        ("t.csv.gz", b"no gzip", "not a readable table"),
        ("t.csv.zst", b"no zstd", "not a readable table"),
        ("t.zip", b"no zip", "not a readable table"),
        ("t.zip", zipped("a.csv", b"text\n", {"b.csv": b"text\n"}), "holds 2 files, not one"),
        ("t.xlsx", b"", r"unknown format '\.xlsx'; known: \.csv, "),
    ],
)
def test_a_table_that_cannot_be_read_is_one_line_with_its_name(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UnweaveError, match=message) as caught:
        list(rows(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def forged(content: bytes, **changes: int) -> bytes:
    """Zip file whose one member claims other `flags` or another `method`, in both of its headers."""
    forged = bytearray(content)
    directory = content.rindex(b"PK\x01\x02")
    for field, (local, central) in {"flags": (6, 8), "method": (8, 10)}.items():
        if field in changes:
            forged[local] = forged[directory + central] = changes[field]
    return bytes(forged)


def member(content: bytes, compression: int) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", compression) as archive:
        archive.writestr("t.jsonl", content)
    return sink.getvalue()


def scrambled(content: bytes, start: int) -> bytes:
    return content[:start] + bytes(byte ^ 0xFF for byte in content[start : start + 6]) + content[start + 6 :]


UNREADABLE_ARCHIVES = {
    "encrypted": forged(member(as_jsonl(), zipfile.ZIP_STORED), flags=1),
    "compressed in an unknown way": forged(member(as_jsonl(), zipfile.ZIP_STORED), method=97),
    "damaged deflate": scrambled(member(as_jsonl(), zipfile.ZIP_DEFLATED), 37),
    "damaged lzma": scrambled(member(as_jsonl(), zipfile.ZIP_LZMA), 60),
    "damaged bzip2": scrambled(member(as_jsonl(), zipfile.ZIP_BZIP2), 60),
}


@pytest.mark.parametrize("kind", UNREADABLE_ARCHIVES)
def test_an_archive_that_cannot_be_read_is_one_line_with_its_name(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "t.zip"
    path.write_bytes(UNREADABLE_ARCHIVES[kind])
    with pytest.raises(UnweaveError, match=r"t\.zip: not a readable table after row 0: \w+"):
        list(rows(path))
    with pytest.raises(UnweaveError, match=r"t\.zip: not a readable archive \(.+\): delete it and run again"):
        read_member(path, "t.jsonl")


@pytest.mark.parametrize(
    ("name", "content"),
    [("t.jsonl", b'{"text": ' + b"[" * 100_000), ("t.csv.gz", scrambled(gzip.compress(as_csv()), 12))],
)
def test_json_without_an_end_and_a_damaged_gzip_are_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UnweaveError, match=r"not a readable table after row 0: \w+"):
        list(rows(path))


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnweaveError, match=r"gone\.csv: no such file"):
        list(rows(tmp_path / "gone.csv"))
