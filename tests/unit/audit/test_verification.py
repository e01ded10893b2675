"""What verification finds: any damage to any byte, and where it is."""

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentd.audit import Head
from agentd.audit.report import Problem, Report, Verdict
from agentd.audit.verification import verify
from agentd.core import PermanentError
from tests.unit.audit.rig import SMALL, entries, files, opened, written

FEW = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@dataclass(frozen=True)
class Log:
    """A log that somebody is about to damage. `living`: its replica has not said that it ends."""

    folder: Path
    living: bool

    @property
    def files(self) -> Sequence[Path]:
        return files(self.folder)

    @property
    def lines(self) -> Sequence[tuple[Path, int]]:
        """Where every line is."""
        return [(file, index) for file in self.files for index, _ in enumerate(_lines(file))]

    def verdict(self) -> Verdict:
        return verify([self.folder]).verdict


def _lines(file: Path) -> list[bytes]:
    return file.read_bytes().splitlines(keepends=True)


def _masters(folder: Path) -> dict[tuple[int, bool], Path]:
    """Logs of some sizes, closed ones and such of a replica that still runs; they are copied for each example."""
    made = {}

    async def make() -> None:
        for entries_of_it in (0, 1, 9, 30):
            closed, living = folder / f"closed-{entries_of_it}", folder / f"living-{entries_of_it}"
            async with opened(closed, segment_bytes=SMALL) as rig:
                for number in range(entries_of_it):
                    rig.append(number)
                await rig.log.flush()
                shutil.copytree(closed, living)
            made[entries_of_it, False], made[entries_of_it, True] = closed, living

    asyncio.run(make())
    return made


@pytest.fixture(scope="module")
def masters(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, bool], Path]:
    return _masters(tmp_path_factory.mktemp("masters"))


@contextmanager
def _copy(masters: dict[tuple[int, bool], Path], data: st.DataObject) -> Iterator[Log]:
    key = data.draw(st.sampled_from(sorted(masters)), label="entries, living")
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(masters[key], Path(folder) / "audit")
        log = Log(Path(folder) / "audit", key[1])
        assert log.verdict() is Verdict.INTACT
        yield log


def _named(report: Report, *places: Path) -> bool:
    """Whether a problem is in one of the files."""
    return any(problem.file in places for chain in report.chains for problem in chain.problems)


def _problems(*paths: Path, heads: Sequence[Head] = ()) -> Sequence[Problem]:
    return [problem for chain in verify(paths, heads=heads).chains for problem in chain.problems]


@FEW
@given(data=st.data())
def test_any_byte_that_is_changed_is_found(masters: dict[tuple[int, bool], Path], data: st.DataObject) -> None:
    with _copy(masters, data) as log:
        file = data.draw(st.sampled_from(log.files))
        content = bytearray(file.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] ^= data.draw(st.integers(1, 255))
        line = bytes(content[:at]).count(b"\n") + 1
        file.write_bytes(content)
        report = verify([log.folder])
        assert report.verdict is not Verdict.INTACT
        found = [problem for chain in report.chains for problem in chain.problems]
        assert (file, line) in [(problem.file, problem.line) for problem in found]


def test_each_single_byte_of_a_whole_log_counts(tmp_path: Path) -> None:
    asyncio.run(written(tmp_path, 1))
    (file,) = files(tmp_path)
    content = file.read_bytes()
    for at in range(len(content)):
        file.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        report = verify([tmp_path])
        assert report.verdict is not Verdict.INTACT, at
        assert _named(report, file), at
        # Only the very last byte could be missing after a crash.
        assert report.verdict is Verdict.TAMPERED, at


@FEW
@given(data=st.data())
def test_bytes_that_are_put_in_or_taken_out_are_found(
    masters: dict[tuple[int, bool], Path], data: st.DataObject
) -> None:
    with _copy(masters, data) as log:
        file = data.draw(st.sampled_from(log.files))
        content = file.read_bytes()
        begin = data.draw(st.integers(0, len(content)))
        end = data.draw(st.integers(begin, len(content)))
        new = content[:begin] + data.draw(st.binary(max_size=20)) + content[end:]
        # What the file alone cannot tell is that entries are missing at the end of the newest one.
        if new != content and not (file == log.files[-1] and content.startswith(new) and new.endswith(b"\n")):
            file.write_bytes(new)
            report = verify([log.folder])
            assert report.verdict is not Verdict.INTACT
            assert any(chain.problems for chain in report.chains)


@FEW
@given(data=st.data())
def test_a_line_that_is_missing_doubled_or_moved_is_found(
    masters: dict[tuple[int, bool], Path], data: st.DataObject
) -> None:
    with _copy(masters, data) as log:
        file, index = data.draw(st.sampled_from(log.lines), label="line")
        other, place = data.draw(st.sampled_from(log.lines), label="place")
        lines = _lines(file)
        line = lines[index]
        what = data.draw(st.sampled_from(["remove", "double", "swap"]))
        if what == "remove":
            if (file, index) == log.lines[-1]:
                return  # this is for heads to tell
            del lines[index]
            file.write_bytes(b"".join(lines))
        elif what == "double":
            target = _lines(other)
            target.insert(place + 1, line)
            other.write_bytes(b"".join(target))
        elif (file, index) != (other, place):
            target = lines if file == other else _lines(other)
            lines[index], target[place] = target[place], line
            file.write_bytes(b"".join(lines))
            other.write_bytes(b"".join(target))
        else:
            return
        report = verify([log.folder])
        assert report.verdict is not Verdict.INTACT
        assert _named(report, *log.files)


@FEW
@given(data=st.data())
def test_whatever_is_cut_from_the_end_is_found_with_a_head(
    masters: dict[tuple[int, bool], Path], data: st.DataObject
) -> None:
    with _copy(masters, data) as log:
        head = Head.parse(verify([log.folder]).chains[0].head or "")
        removed = data.draw(st.integers(0, len(log.files) - 1), label="files removed")
        for file in log.files[len(log.files) - removed :]:
            file.unlink()
        last = log.files[-1]
        cut = data.draw(st.integers(0 if removed else 1, last.stat().st_size), label="bytes cut")
        last.write_bytes(last.read_bytes()[: last.stat().st_size - cut])
        report = verify([log.folder], heads=[head])
        only_a_line_break = (removed, cut) == (0, 1)
        assert report.verdict is (Verdict.INCOMPLETE if only_a_line_break else Verdict.TAMPERED)


def test_files_that_are_missing_swapped_or_doubled_are_found(tmp_path: Path) -> None:
    asyncio.run(written(tmp_path / "whole", 60, segment_bytes=SMALL))
    first, second, third, *_, last = (file.name for file in files(tmp_path / "whole"))

    def damaged(name: str, damage: Callable[[Path], object]) -> str:
        shutil.copytree(tmp_path / "whole", tmp_path / name)
        damage(tmp_path / name / "replica-1")
        (problem, *others) = _problems(tmp_path / name)
        assert not others
        return f"{problem.verdict}: {Path(problem.where).name}: {problem.what}"

    def swap(folder: Path) -> None:
        content = (folder / second).read_bytes()
        (folder / second).write_bytes((folder / third).read_bytes())
        (folder / third).write_bytes(content)

    found = damaged("middle", lambda folder: (folder / second).unlink())
    assert found == f"tampered: {third}: no file has the segments between 1 and 3"
    found = damaged("first", lambda folder: (folder / first).unlink())
    assert found == "incomplete: chain replica-1: begins with segment 2: those before it are not here"
    found = damaged("doubled", lambda folder: shutil.copy(folder / second, folder / "000099.jsonl"))
    assert found == "tampered: 000099.jsonl: is named 99, but holds segment 2"
    found = damaged("empty", lambda folder: (folder / last).write_bytes(b""))
    assert found == f"incomplete: {last}: is empty"
    found = damaged("cut", lambda folder: (folder / second).write_bytes(b"".join(_lines(folder / second)[:-1])))
    assert found == f"tampered: {second}: has lost its end: it is not closed, although segment 3 follows"
    shutil.copytree(tmp_path / "whole", tmp_path / "swapped")
    swap(tmp_path / "swapped" / "replica-1")
    assert {problem.what for problem in _problems(tmp_path / "swapped")} == {
        "is named 3, but holds segment 2",
        "is named 2, but holds segment 3",
    }


async def test_each_damage_is_told_once_and_in_words(tmp_path: Path) -> None:
    await written(tmp_path, 8)
    (file,) = files(tmp_path)
    whole = _lines(file)

    def told(lines: list[bytes]) -> list[str]:
        file.write_bytes(b"".join(lines))
        return [f"{problem.line}: {problem.what}" for problem in _problems(tmp_path)]

    assert told(whole) == []
    changed = whole[3].replace(b'"attempt":2', b'"attempt":3')
    assert told([*whole[:3], changed, *whole[4:]]) == ["4: entry 4 has been changed: its hash does not fit"]
    assert told([*whole[:3], *whole[5:]]) == ["4: entries 4 to 5 are missing before this one"]
    assert told([*whole[:3], whole[1], *whole[3:]]) == ["4: entry 2 is here again, or out of its place"]
    assert told([*whole[:3], b"nonsense\n", *whole[3:]]) == ["4: is no entry of the log: its hash does not fit"]
    assert told([*whole[:3], b"x" * 200_000 + b"\n", *whole[3:]]) == [
        "4: is no entry of the log: its hash does not fit"
    ]
    assert told([*whole[:3], whole[4], whole[3], *whole[5:]]) == [
        "4: entries 4 to 4 are missing before this one",
        "5: entry 4 is here again, or out of its place",
    ]
    assert told([*whole, *whole[:1]])[0] == "11: entry 1 is here again, or out of its place"


async def test_a_log_that_was_written_anew_is_found_by_whoever_knows_an_entry(tmp_path: Path) -> None:
    await written(tmp_path / "true", 5)
    head = Head.parse(verify([tmp_path / "true"]).chains[0].head or "")
    await written(tmp_path / "false", 5)
    assert verify([tmp_path / "false"]).verdict is Verdict.INTACT, "it is consistent in itself"
    (problem,) = _problems(tmp_path / "false", heads=[head])
    assert problem.what == "entry 7 is not the one that the given head knows: it was rewritten"
    assert verify([tmp_path / "true"], heads=[head]).verdict is Verdict.INTACT


async def test_a_copy_and_the_original_are_compared(tmp_path: Path) -> None:
    await written(tmp_path / "here", 5)
    shutil.copytree(tmp_path / "here", tmp_path / "copy")
    assert verify([tmp_path]).verdict is Verdict.INTACT
    assert verify([tmp_path]).entries == 7
    await written(tmp_path / "anew", 5)
    report = verify([tmp_path])
    assert report.verdict is Verdict.TAMPERED
    (problem,) = report.chains[0].problems
    assert problem.what.startswith("is not the same as its other copy")


# -- ends ----------------------------------------------------------------------------------------------------------------


async def test_only_the_newest_open_file_may_be_torn(tmp_path: Path) -> None:
    async with opened(tmp_path, segment_bytes=SMALL) as rig:
        for number in range(30):
            rig.append(number)
        await rig.log.flush()
        shutil.copytree(tmp_path, tmp_path / "copy" / "living")
    folder = tmp_path / "copy"
    newest = files(folder)[-1]
    whole = newest.read_bytes()
    last = _lines(newest)[-1]
    for kept in range(1, len(last) - 1):
        newest.write_bytes(whole[: len(whole) - len(last) + kept])
        (problem,) = _problems(folder)
        assert problem.verdict is Verdict.INCOMPLETE
        assert problem.what.startswith(f"torn end: {kept} bytes after entry"), kept
    newest.write_bytes(whole[:-1])
    assert [problem.what for problem in _problems(folder)] == ["lacks its line break"]
    newest.write_bytes(whole + b"\0" * 5000)
    assert [problem.what[:20] for problem in _problems(folder)] == ["torn end: 5000 bytes"]
    newest.write_bytes(whole[:-1] + b"\0" * 100_000)
    assert [problem.what for problem in _problems(folder)] == ["lacks its line break"]
    newest.write_bytes(whole + b"no beginning of an entry")
    assert [problem.verdict for problem in _problems(folder)] == [Verdict.TAMPERED]
    newest.write_bytes(whole)
    older = files(folder)[0]
    older.write_bytes(older.read_bytes()[:-10])
    assert [problem.verdict for problem in _problems(folder)] == [Verdict.TAMPERED]


async def test_a_start_vouches_for_the_end_of_the_one_before(tmp_path: Path) -> None:
    async with opened(tmp_path / "audit", "dead") as rig:
        rig.append()
        await rig.log.flush()
        shutil.copytree(tmp_path / "audit", tmp_path / "after-a-crash")
    folder = tmp_path / "after-a-crash"
    await written(folder, 1, "next")
    first = next(entry for entry in entries(folder) if entry["replica"] == "next")
    assert first["facts"]["found"] == [f"dead:2:{entries(folder / 'dead')[-1]['hash']}"]
    assert verify([folder]).verdict is Verdict.INTACT

    (file,) = files(folder / "dead")
    whole = file.read_bytes()
    file.write_bytes(_lines(file)[0])
    (problem,) = _problems(folder)
    assert (problem.verdict, problem.chain) == (Verdict.TAMPERED, "dead")
    assert problem.what == "has been cut: it ends with entry 1, but chain next knows entry 2"
    file.unlink()
    (problem,) = _problems(folder)
    assert (problem.verdict, problem.what) == (
        Verdict.INCOMPLETE,
        "nothing of it is here, but chain next knows its entry 2",
    )
    file.write_bytes(whole + b'{"seq":3,"rep')
    await written(folder, 1, "after")
    assert [problem.verdict for problem in _problems(folder)] == [Verdict.INCOMPLETE]


async def test_who_still_runs_is_not_vouched_for(tmp_path: Path) -> None:
    async with opened(tmp_path, "one") as one:
        one.append()
        await one.log.flush()
        await written(tmp_path, 1, "two")
    assert all("found" not in entry["facts"] for entry in entries(tmp_path))
    assert verify([tmp_path]).verdict is Verdict.INTACT


async def test_nothing_is_not_intact(tmp_path: Path) -> None:
    assert verify([tmp_path]).verdict is Verdict.INCOMPLETE
    head = Head("replica-1", 3, "0" * 64)
    (problem,) = _problems(tmp_path, heads=[head])
    assert problem.what == "nothing of it is here, but the given head knows its entry 3"


@pytest.mark.parametrize(
    "text", ["", "a:1", "a:0:" + "0" * 64, "a:1:" + "0" * 63, "a:1:" + "G" * 64, "a b:1:" + "0" * 64]
)
def test_what_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="CHAIN:SEQ:HASH"):
        Head.parse(text)


# -- signatures ----------------------------------------------------------------------------------------------------------


def _key(path: Path) -> Ed25519PrivateKey:
    key = Ed25519PrivateKey.generate()
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return key


async def test_signed_ends_hold_with_the_key_and_with_no_other(tmp_path: Path) -> None:
    key, other = _key(tmp_path / "key.pem"), _key(tmp_path / "other.pem")
    await written(tmp_path / "audit", 30, segment_bytes=SMALL, signing_key_file=tmp_path / "key.pem")
    report = verify([tmp_path / "audit"], keys=[other.public_key(), key.public_key()])
    assert report.verdict is Verdict.INTACT
    assert report.chains[0].signed == report.chains[0].segments == len(files(tmp_path / "audit"))
    report = verify([tmp_path / "audit"], keys=[other.public_key()])
    assert report.verdict is Verdict.TAMPERED
    assert len(report.chains[0].problems) == report.files
    assert report.chains[0].signed == 0


async def test_a_log_written_anew_without_the_key_is_found(tmp_path: Path) -> None:
    key = _key(tmp_path / "key.pem")
    await written(tmp_path / "unsigned", 3)
    (problem,) = verify([tmp_path / "unsigned"], keys=[key.public_key()]).chains[0].problems
    assert problem.what == "the end of the segment is not signed by any of the given keys"


async def test_a_key_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("no key")
    with pytest.raises(PermanentError, match=r"audit\.signing_key_file .*key\.pem"):
        await written(tmp_path / "audit", 1, signing_key_file=tmp_path / "key.pem")
    with pytest.raises(PermanentError, match=r"audit\.signing_key_file .*missing\.pem"):
        await written(tmp_path / "audit", 1, signing_key_file=tmp_path / "missing.pem")
    assert files(tmp_path) == []


async def test_what_is_only_counted_counts_for_the_verdict(tmp_path: Path) -> None:
    await written(tmp_path, 200, segment_bytes=SMALL)
    for file in files(tmp_path)[:10]:
        file.unlink()
    heads = [Head("replica-1", seq, "0" * 64) for seq in range(1, 31)]
    (chain,) = verify([tmp_path], heads=heads).chains
    assert (chain.verdict, len(chain.problems), chain.more_problems) == (Verdict.INCOMPLETE, 20, 11)
    (chain,) = verify([tmp_path], heads=[*heads, Head("replica-1", 10**6, "0" * 64)]).chains
    assert (chain.verdict, chain.more_problems) == (Verdict.TAMPERED, 12)
