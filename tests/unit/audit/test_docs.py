"""The verifier in the documentation, which shares no line with ours, agrees with it."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agentd.audit.verification import verify
from tests.unit.audit.rig import SMALL, files, written

DOCUMENT = Path(__file__).parents[3] / "docs" / "audit.md"


def _verify(folder: Path) -> subprocess.CompletedProcess[str]:
    found = re.search(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert found is not None
    command = [sys.executable, "-I", "-c", found[1], str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_it_says_the_same_heads_of_a_whole_log(tmp_path: Path) -> None:
    asyncio.run(written(tmp_path, 30, "one", segment_bytes=SMALL))
    asyncio.run(written(tmp_path, 3, "two"))
    for file in files(tmp_path / "one")[:2]:
        file.rename(file.parent / "stored" / file.name)
    result = _verify(tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.split() == [chain.head for chain in verify([tmp_path]).chains]


@pytest.mark.parametrize(
    ("part", "line"), [(b'"seq"', 1), (b'"prev":"', 1), (b'"hash":"', 1), (b'"attempt":', 2), (b"event", 2)]
)
def test_it_names_the_place_of_a_changed_byte(tmp_path: Path, part: bytes, line: int) -> None:
    asyncio.run(written(tmp_path, 30, segment_bytes=SMALL))
    file = files(tmp_path)[1]
    content = bytearray(file.read_bytes())
    content[content.index(part) + len(part)] ^= 1
    file.write_bytes(content)
    result = _verify(tmp_path)
    assert (result.returncode, result.stderr.strip()) == (1, f"{file}:{line}: is not as it was written")


def test_it_notices_a_file_that_is_missing(tmp_path: Path) -> None:
    asyncio.run(written(tmp_path, 30, segment_bytes=SMALL))
    files(tmp_path)[1].unlink()
    assert _verify(tmp_path).returncode == 1
