import hashlib
from pathlib import Path

import pytest

from ovfarm.errors import Unavailable
from storage.blobs import Blobs, digest_file


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs((tmp_path / "store").as_uri())


def stored(blobs: Blobs, tmp_path: Path, content: bytes) -> str:
    path = tmp_path / "given"
    path.write_bytes(content)
    digest, size = digest_file(path)
    assert (digest, size) == (hashlib.sha256(content).hexdigest(), len(content))
    blobs.put(path, digest)
    return digest


@pytest.mark.parametrize("content", [b"", b"x", b"0123456789" * 1_000_000])
def test_what_goes_in_comes_out(blobs: Blobs, tmp_path: Path, content: bytes) -> None:
    digest = stored(blobs, tmp_path, content)
    assert blobs.size(digest) == len(content)
    blobs.fetch(digest, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content
    assert b"".join(blobs.stream(digest)) == content


def test_a_range(blobs: Blobs, tmp_path: Path) -> None:
    digest = stored(blobs, tmp_path, b"0123456789")
    assert b"".join(blobs.stream(digest, 3, 4)) == b"3456"
    assert b"".join(blobs.stream(digest, 8, 100)) == b"89"


def test_storing_twice_is_storing_once(blobs: Blobs, tmp_path: Path) -> None:
    assert stored(blobs, tmp_path, b"same") == stored(blobs, tmp_path, b"same")


def test_a_missing_blob_is_none_or_unavailable(blobs: Blobs, tmp_path: Path) -> None:
    assert blobs.size("0" * 64) is None
    with pytest.raises(Unavailable, match="no blob"):
        blobs.fetch("0" * 64, tmp_path / "back")


def test_rotten_bytes_are_never_handed_out(blobs: Blobs, tmp_path: Path) -> None:
    digest = stored(blobs, tmp_path, b"good bytes")
    (file,) = (tmp_path / "store").glob(f"blobs/*/{digest}")
    file.write_bytes(b"bad. bytes")
    with pytest.raises(Unavailable) as caught:
        blobs.fetch(digest, tmp_path / "back")
    assert caught.value.code == "store_corrupt"
    assert not (tmp_path / "back").exists()
