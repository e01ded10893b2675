"""Bringing one object to what is wanted, with as few writes as that takes (I7).

What a write would do is asked of the server itself, by dry runs bound to the state that was read; so defaults, merge keys
and quantities compare as the server sees them. Every step ends in one of two ways: it is done, or the object has moved and
is read again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from agentd.core import Fence, Reason, TransientError
from agentd.platform.cluster import Applied, Manifest, ObjectRef, Preview
from agentd.platform.kubernetes import managed_fields, marks
from agentd.platform.kubernetes.content import as_promised, same_content
from agentd.platform.kubernetes.errors import CallCode, Failure
from agentd.platform.kubernetes.objects import UNKNOWN_EFFECT, Object, namespace_missing

TRIES = 6
"""How often an object that moves is read again before it is left for later: others' writes come in bursts."""


@dataclass(frozen=True, slots=True)
class _Difference:
    """What an apply would change. `after` is the object then."""

    after: Manifest
    content: bool
    dropped: bool
    """Fields of the creation are not wanted any more; they must be handed over before an apply can remove them."""
    entries: Sequence[managed_fields.Entry] | None
    """Who owns which fields after the next stamp; None when that stays as it is."""

    @property
    def nothing(self) -> bool:
        """Whether all is as it should be."""
        return not (self.content or self.dropped)


@dataclass(slots=True)
class _Done:
    """What has been written so far, and the failure that left the last write's effect unknown."""

    wrote: Applied | None = None
    lost: Failure | None = None


async def apply(obj: Object, manifest: Manifest, fence: Fence) -> Applied:
    """See Cluster.apply."""
    wanted = marks.marked(manifest, fence)
    done = _Done()
    for _ in range(TRIES):
        live = await obj.get()
        result = await (_create(obj, wanted, fence, done) if live is None else _bring(obj, wanted, live, fence, done))
        if result is not None:
            return result
    raise busy(obj.ref)


async def preview(obj: Object, manifest: Manifest, fence: Fence) -> Preview:
    """See Cluster.preview."""
    wanted = marks.marked(manifest, fence)
    for _ in range(TRIES):
        live = await obj.get()
        found = await (_preview_new(obj, wanted) if live is None else _preview_change(obj, wanted, live, fence))
        if found is not None:
            return found
    raise busy(obj.ref)


async def _preview_new(obj: Object, wanted: Manifest) -> Preview | None:
    answer = await obj.try_create(wanted)
    if not isinstance(answer, Failure):
        return Preview(Applied.CREATED, None, as_promised(answer, wanted))
    if answer.code is CallCode.NOT_FOUND:
        return Preview(Applied.CREATED, None, wanted, namespace_missing(obj.ref, answer).message)
    return None


async def _preview_change(obj: Object, wanted: Manifest, live: Manifest, fence: Fence) -> Preview | None:
    _check(live, obj.ref, fence)
    differs = await _compare(obj, wanted, live)
    if differs is None:
        return None
    if not differs.nothing:
        return Preview(Applied.CHANGED, live, differs.after)
    return Preview(Applied.UNCHANGED if marks.is_stamped(live, fence) else Applied.STAMPED, live, live)


def busy(ref: ObjectRef) -> TransientError:
    """Somebody else writes to the object all the time."""
    return TransientError(
        Reason.UNAVAILABLE, f"{ref} was changed by somebody else each of {TRIES} times that it was about to be written"
    )


def _check(live: Manifest, ref: ObjectRef, fence: Fence) -> None:
    marks.check_own(live, ref, fence)
    marks.check_standing(live, ref)


async def _create(obj: Object, wanted: Manifest, fence: Fence, done: _Done) -> Applied | None:
    if done.lost is not None:
        raise done.lost.error()
    answer = await obj.create(wanted, fence)
    if not isinstance(answer, Failure):
        return Applied.CREATED
    if answer.code is CallCode.NOT_FOUND:
        raise namespace_missing(obj.ref, answer)
    if answer.code is UNKNOWN_EFFECT:
        done.wrote, done.lost = Applied.CREATED, answer
    return None


async def _bring(obj: Object, wanted: Manifest, live: Manifest, fence: Fence, done: _Done) -> Applied | None:
    if done.wrote is Applied.CREATED and marks.is_written_by(live, fence):
        return Applied.CREATED
    _check(live, obj.ref, fence)
    differs = await _compare(obj, wanted, live)
    if differs is None:
        return None
    if differs.nothing and marks.is_stamped(live, fence):
        return done.wrote or Applied.UNCHANGED
    if done.lost is not None:
        raise done.lost.error()
    if differs.content and not differs.dropped:
        answer, wrote = await obj.apply(wanted, live, fence), Applied.CHANGED
    else:
        answer, wrote = await obj.stamp(live, fence, differs.entries), Applied.STAMPED
    if not isinstance(answer, Failure):
        done.wrote = wrote
        return None if differs.dropped else wrote
    if answer.code is UNKNOWN_EFFECT:
        done.wrote, done.lost = wrote, answer
    return None


async def _compare(obj: Object, wanted: Manifest, live: Manifest) -> _Difference | None:
    """What an apply to this state would change; None when it has moved meanwhile."""
    applied = await obj.try_apply(wanted, live)
    if isinstance(applied, Failure):
        return await _compare_anew(obj, wanted, live, applied) if applied.code is CallCode.INVALID else None
    dropped: Sequence[managed_fields.Path] = ()
    without: Manifest | Failure | None = None
    extra = managed_fields.left_over(live, applied)
    if extra:
        without = await obj.try_without(live, extra)
        if not isinstance(without, Failure):
            dropped = () if same_content(without, live) else managed_fields.changed(live, without, extra)
        elif without.code is CallCode.INVALID:
            dropped = extra
        else:
            return None
    entries = managed_fields.handed_over(live, applied, dropped)
    remade = None if isinstance(without, Failure) else without
    after = managed_fields.taken_from(remade, applied, dropped)
    return _Difference(after, not same_content(applied, live), bool(dropped), entries)


async def _compare_anew(obj: Object, wanted: Manifest, live: Manifest, refusal: Failure) -> _Difference | None:
    """The same when the manifest cannot stand beside what the creation has left. Raises when that is not why it is refused."""
    entries = managed_fields.all_handed_over(live, wanted)
    if entries is None:
        raise refusal.error()
    after = await obj.try_instead(live, managed_fields.remade(live, wanted))
    if not isinstance(after, Failure):
        return _Difference(after, content=True, dropped=True, entries=entries)
    if after.code is CallCode.INVALID:
        raise refusal.error()
    return None
