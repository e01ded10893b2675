"""What projects are given wherever they are deployed, where there is a cluster."""

from collections import Counter
from uuid import uuid4

import pytest

from agentd.core import PermanentError, Reason
from agentd.events import ProjectConfigure, ProjectCreate, Retention
from agentd.platform import Manifest, ObjectRef, keys
from handlers.manifests.kinds import CONFIG_MAP
from tests.unit.handlers.world import Project, World

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def configuration(at: World, name: str) -> Manifest | None:
    return await at.cluster.get(ObjectRef(CONFIG_MAP, f"project-{name}", at.defaults.system_namespace))


async def test_a_created_project_has_a_configuration(at: World) -> None:
    project = await at.project("team_shop", builds=0, identity="shop-{{ .Env }}")
    found = await configuration(at, "team.shop")
    assert found is not None
    assert found["metadata"]["labels"][keys.PROJECT_ID] == project.id
    assert found["data"] == {
        "id": project.id,
        "name": "team_shop",
        "default-identity": "shop-{{ .Env }}",
        "settings.json": "{}",
    }
    await at.writes()
    again = await at.run(
        ProjectCreate(project_id=project.id, project_name="team_shop", default_identity="shop-{{ .Env }}")
    )
    assert again.asked == []
    assert await at.writes() == Counter()


async def test_a_configuration_replaces_the_one_before(at: World) -> None:
    project = await at.project("shop", builds=0, identity="shop-{{ .Env }}")
    await at.configure(project, 2, settings={"a": "1"})
    found = await configuration(at, "shop")
    assert found is not None
    assert found["data"] == {"id": project.id, "name": "shop", "settings.json": '{"a":"1"}'}
    await at.configure(project, 3, default_identity="other")
    found = await configuration(at, "shop")
    assert found is not None
    assert found["data"]["default-identity"] == "other"
    assert found["data"]["settings.json"] == "{}"


async def test_a_create_that_comes_late_keeps_the_newer_configuration(at: World) -> None:
    project = Project(str(uuid4()), "shop")
    await at.configure(project, 2, settings={"a": "1"})
    await at.run(ProjectCreate(project_id=project.id, project_name="shop", default_identity="old"), 1)
    found = await configuration(at, "shop")
    assert found is not None
    assert found["data"]["settings.json"] == '{"a":"1"}'
    assert "default-identity" not in found["data"]


async def test_a_template_that_is_none_is_refused(at: World) -> None:
    project = Project(str(uuid4()), "shop")
    with pytest.raises(PermanentError, match=r"identity template '\{\{ .Name \}\}'") as caught:
        await at.configure(project, default_identity="{{ .Name }}")
    assert caught.value.reason is Reason.INVALID_REQUEST
    assert await configuration(at, "shop") is None
    with pytest.raises(PermanentError):
        await at.run(ProjectCreate(project_id=project.id, project_name="shop", default_identity="{{ .Env"), 1)
    assert await at.writes() == Counter()


@pytest.mark.parametrize("retention", Retention)
async def test_the_configuration_goes_with_its_project(at: World, retention: Retention) -> None:
    project = await at.project("shop", builds=0)
    await at.drop(project, retention=retention)
    assert await configuration(at, "shop") is None
    again = await at.drop(project, retention=retention)
    assert again.asked == []


async def test_a_project_in_use_keeps_its_configuration(at: World) -> None:
    await at.run(at.create())
    project = await at.project("shop")
    await at.run(at.deploy(project.deployment()), 2)
    with pytest.raises(PermanentError) as caught:
        await at.drop(project, force=True)
    assert caught.value.reason is Reason.IN_USE
    assert await configuration(at, "shop") is not None


async def test_a_foreign_configuration_is_left_alone_and_not_read(at: World) -> None:
    await at.run(at.create())
    project = await at.project("shop")
    root = f"/api/v1/namespaces/{at.defaults.system_namespace}/configmaps"
    await at.hands.delete(f"{root}/project-shop")
    theirs = {"metadata": {"name": "project-shop"}, "data": {"default-identity": "admin"}}
    await at.hands.call("POST", root, theirs)
    await at.writes()
    event = ProjectConfigure(project_id=project.id, project_name="shop")
    for data in (event, at.deploy(project.deployment())):
        with pytest.raises(PermanentError) as caught:
            await at.run(data, 2)
        assert caught.value.reason is Reason.FOREIGN_OBJECT
    assert await at.writes() == Counter()


async def test_a_configuration_that_was_broken_by_hand_is_named(at: World) -> None:
    await at.run(at.create())
    project = await at.project("shop")
    path = f"/api/v1/namespaces/{at.defaults.system_namespace}/configmaps/project-shop"
    await at.hands.patch(path, {"data": {"settings.json": "{"}})
    with pytest.raises(PermanentError, match=r"cannot be read.*send project\.configure for shop"):
        await at.run(at.deploy(project.deployment()), 2)
    await at.configure(project)
    await at.run(at.deploy(project.deployment()), 2)
