"""The end of an environment."""

from collections import Counter

import pytest

from agentd.core import NotReady, PermanentError, Reason
from tests.unit.handlers.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def delete(at: World, generation: int) -> bool:
    """Delete it, in as many attempts as the server needs to empty the namespace; whether anything was written."""
    data = at.delete()
    context = at.begin(data, generation)
    for _ in range(10):
        try:
            await at.resume(data, context)
        except NotReady:
            continue
        return context.fence.changed
    raise AssertionError("the namespace does not go")


async def test_everything_goes(at: World) -> None:
    await at.run(at.create())
    shop = await at.project("shop")
    await at.run(at.deploy(shop.deployment()), 2)
    assert await delete(at, 3)
    assert await at.namespace() is None
    assert set((await at.deployed(shop)).values()) == {()}
    await at.drop(shop, force=True)


async def test_deleting_again_is_success(at: World) -> None:
    await at.run(at.create())
    assert await delete(at, 2)
    await at.writes()
    again = await at.run(at.delete(), 2)
    assert again.asked == []
    assert await at.writes() == Counter()


async def test_what_was_never_created_is_deleted_with_success(at: World) -> None:
    fence = await at.run(at.delete())
    assert fence.asked == []
    assert await at.writes() == Counter()


async def test_what_is_protected_stays(at: World) -> None:
    await at.run(at.create(deletion_protection=True))
    await at.writes()
    with pytest.raises(PermanentError, match="protected; send an update without deletion_protection first") as caught:
        await at.run(at.delete(), 2)
    assert caught.value.reason is Reason.PROTECTED
    assert await at.writes() == Counter()
    await at.run(at.update(deletion_protection=False), 3)
    assert await delete(at, 4)


async def test_what_holds_the_namespace_is_named_and_waited_for(at: World) -> None:
    await at.run(at.create())
    root = f"/api/v1/namespaces/{at.name}/configmaps"
    held = {"metadata": {"name": "held", "finalizers": ["example.com/backup"]}}
    await at.hands.call("POST", root, held)
    data = at.delete()
    context = at.begin(data, 2)
    with pytest.raises(NotReady, match=r"still being deleted.*example\.com/backup"):
        await at.resume(data, context)
    assert "delete namespace" not in context.journal
    await at.hands.patch(f"{root}/held", {"metadata": {"finalizers": []}})
    await at.hands.until(f"/api/v1/namespaces/{at.name}", lambda found: found is None)
    await at.resume(data, context)
    assert context.fence.changed
    assert await at.namespace() is None


async def test_a_deploy_that_failed_leaves_nothing_marked(at: World) -> None:
    await at.run(at.create())
    shop, lib = await at.project("shop"), await at.project("lib")
    await at.run(at.deploy(shop.deployment()), 2)
    with pytest.raises(PermanentError):  # it wants only lib, and a build of it that is not there
        await at.run(at.deploy(lib.deployment("00000000-0000-4000-8000-000000000000")), 3)
    await delete(at, 4)
    for project in (shop, lib):
        assert set((await at.deployed(project)).values()) == {()}


async def test_marks_go_although_the_namespace_has_gone_by_hand(at: World) -> None:
    await at.run(at.create())
    shop = await at.project("shop")
    await at.run(at.deploy(shop.deployment()), 2)
    root = f"/api/v1/namespaces/{at.name}"
    await at.hands.delete(root)
    await at.hands.until(root, lambda found: found is None)
    assert await delete(at, 3)
    assert set((await at.deployed(shop)).values()) == {()}


async def test_a_create_after_the_delete_makes_it_anew(at: World) -> None:
    await at.run(at.create())
    shop = await at.project("shop")
    await at.run(at.deploy(shop.deployment()), 2)
    await delete(at, 3)
    fence = await at.run(at.create(), 4)
    assert fence.changed
    assert await at.record(shop) is None
