"""Tells whether the log is as it was written, from its files alone: no agent, no network, no settings."""

import filecmp
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agentd.audit.checking import ChainCheck, Witness
from agentd.audit.entries import Head
from agentd.audit.reading import FoundSegment, find
from agentd.audit.report import ChainReport, Problem, Report, Verdict


def verify(paths: Iterable[Path], *, heads: Sequence[Head] = (), keys: Sequence[Ed25519PublicKey] = ()) -> Report:
    """Look at every byte of the files in the paths, once, in bounded memory.

    `heads` are entries known to have been there; with `keys` the end of every closed segment must be signed by one of
    them. OSError: a path cannot be read.
    """
    segments = find(paths)
    witnesses = [*(Witness(head, "the given head") for head in heads), *_told(segments)]
    chains = [
        _check_chain(name, list(group), [each for each in witnesses if each.head.chain == name], keys)
        for name, group in groupby(segments, key=lambda segment: segment.chain)
    ]
    here = {chain.chain for chain in chains}
    absent = [_absent(witness) for witness in witnesses if witness.head.chain not in here]
    return Report([*chains, *absent], len(segments), sum(segment.path.stat().st_size for segment in segments))


def _told(segments: Iterable[FoundSegment]) -> Iterator[Witness]:
    """What chains say of others that they found when they began."""
    for segment in segments:
        for head in segment.found:
            yield Witness(head, f"chain {segment.chain}")


def _absent(witness: Witness) -> ChainReport:
    chain = witness.head.chain
    what = f"nothing of it is here, but {witness.source} knows its entry {witness.head.seq}"
    return ChainReport(chain, Verdict.INCOMPLETE, problems=(Problem(Verdict.INCOMPLETE, chain, what),))


def _check_chain(
    name: str, segments: Sequence[FoundSegment], witnesses: Sequence[Witness], keys: Sequence[Ed25519PublicKey]
) -> ChainReport:
    check = ChainCheck(name, witnesses, keys)
    once = [next(copies) for _, copies in groupby(segments, key=lambda segment: segment.number)]
    for segment in segments:
        if segment.number_in_name not in (None, segment.number):
            check.tampered(f"is named {segment.number_in_name}, but holds segment {segment.number}", segment.path)
    for segment in once:
        check.segment(segment, newest=segment is once[-1])
    for one, other in pairwise(segments):
        if one.number == other.number and not filecmp.cmp(one.path, other.path, shallow=False):
            check.tampered(f"is not the same as its other copy {one.path}", other.path)
    return check.report(segments=len(once))
