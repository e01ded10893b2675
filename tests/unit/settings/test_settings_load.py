"""Settings from environment, file and defaults."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import ValidationError

import agentd
from agentd.settings import Settings, SettingsError, effective, load, settings_reference
from agentd.settings.tree import leaves

_ID = "7e0a0000-0000-4000-8000-000000000001"
_DOCUMENT = Path(agentd.__file__).parents[1] / "docs" / "settings.md"
_ENVIRONMENT = {
    "AGENTD_TENANT_ID": _ID,
    "AGENTD_CLUSTER_ID": _ID,
    "AGENTD_COMMANDS__QUEUE_URL": "https://sqs.example/1/commands",
    "AGENTD_REPORTS_QUEUE_URL": "https://sqs.example/1/reports",
    "PATH": "/bin",
}


def _environment(**changes: str) -> Mapping[str, str]:
    return {**_ENVIRONMENT, **changes}


def _problems(config_file: Path | None = None, **changes: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load(config_file, _environment(**changes))
    assert str(caught.value) == "\n".join(caught.value.problems)
    for problem in caught.value.problems:
        assert "\n" not in problem
        assert "pydantic" not in problem
        assert "Traceback" not in problem
    return caught.value.problems


def _file(folder: Path, text: str, name: str = "agentd.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_what_must_be_given_is_enough() -> None:
    loaded = load(None, _environment())
    settings = loaded.settings
    assert settings.owner_id == _ID
    assert settings.source == f"urn:conveyor:agent:{_ID}"
    assert settings.bus.slots == 64
    assert settings.drain.grace_s == 25
    assert loaded.origins["tenant_id"] == "environment AGENTD_TENANT_ID"
    assert loaded.origins["owner_id"] == "default"
    assert loaded.origins["bus.slots"] == "default"


def test_every_setting_has_an_origin() -> None:
    assert load(None, _environment()).origins.keys() == {leaf.key for leaf in leaves(Settings)}


def test_environment_goes_before_file_and_file_before_defaults(tmp_path: Path) -> None:
    file = _file(tmp_path, "bus:\n  slots: 7\n  receivers_max: 3\nowner_id: mine\n")
    loaded = load(file, _environment(AGENTD_BUS__SLOTS="9"))
    assert loaded.settings.bus.slots == 9
    assert loaded.settings.bus.receivers_max == 3
    assert loaded.settings.bus.receivers_min == 1
    assert loaded.settings.owner_id == "mine"
    assert loaded.origins["bus.slots"] == "environment AGENTD_BUS__SLOTS"
    assert loaded.origins["bus.receivers_max"] == f"file {file}"
    assert loaded.origins["bus.receivers_min"] == "default"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", "telemetry:\n  http_port: 8000\nregistry:\n  pull_principals: ['1', '2']\n"),
        ("a.yml", "{telemetry: {http_port: 8000}, registry: {pull_principals: ['1', '2']}}"),
        ("a.json", '{"telemetry": {"http_port": 8000}, "registry": {"pull_principals": ["1", "2"]}}'),
        ("a.toml", '[telemetry]\nhttp_port = 8000\n[registry]\npull_principals = ["1", "2"]\n'),
    ],
)
def test_files_in_yaml_and_toml(tmp_path: Path, name: str, text: str) -> None:
    settings = load(_file(tmp_path, text, name), _environment()).settings
    assert settings.telemetry.http_port == 8000
    assert settings.registry.pull_principals == ("1", "2")


def test_the_environment_may_name_the_file_and_the_argument_goes_before(tmp_path: Path) -> None:
    named = _file(tmp_path, "owner_id: named", "named.yaml")
    given = _file(tmp_path, "owner_id: given", "given.yaml")
    assert load(None, _environment(AGENTD_CONFIG=str(named))).settings.owner_id == "named"
    assert load(given, _environment(AGENTD_CONFIG=str(named))).settings.owner_id == "given"


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "bus:\n", "bus: {}\n"])
def test_an_empty_file_or_group_is_no_error(tmp_path: Path, text: str) -> None:
    assert load(_file(tmp_path, text), _environment()).settings.bus.slots == 64


def test_variables_are_read_by_type() -> None:
    settings = load(
        None,
        _environment(
            AGENTD_REGISTRY__PULL_PRINCIPALS='["123456789012", "arn:aws:iam::1:root"]',
            AGENTD_REGISTRY__SCAN_ON_PUSH="false",
            AGENTD_LEDGER__PATH="/tmp/x.db",  # noqa: S108 - never opened
            AGENTD_DRAIN__GRACE_S="2.5",
            AGENTD_TELEMETRY__LOG_LEVEL="debug",
            AGENTD_AWS__ENDPOINT_URL="http://localhost:4566",
        ),
    ).settings
    assert settings.registry.pull_principals == ("123456789012", "arn:aws:iam::1:root")
    assert settings.registry.scan_on_push is False
    assert settings.ledger.path == Path("/tmp/x.db")  # noqa: S108 - never opened
    assert settings.drain.grace_s == 2.5
    assert settings.telemetry.log_level == "debug"
    assert settings.aws.endpoint_url == "http://localhost:4566"


def test_a_variable_that_is_set_to_nothing_is_not_set() -> None:
    loaded = load(None, _environment(AGENTD_BUS__SLOTS="", AGENTD_CONFIG="", AGENTD_NO_SUCH=""))
    assert loaded.settings.bus.slots == 64
    assert loaded.origins["bus.slots"] == "default"


def test_the_process_s_own_environment_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "AGENTD_BUS__SLOTS", "3")
    monkeypatch.setitem(os.environ, "AGENTD_OWNER_ID", "other")
    settings = load(None, _environment()).settings
    assert settings.bus.slots == 64
    assert Settings.model_validate(settings.model_dump()) == settings
    assert Settings(**settings.model_dump(exclude={"owner_id", "bus"})) == settings


def test_settings_are_frozen() -> None:
    settings = load(None, _environment()).settings
    with pytest.raises(ValidationError, match="frozen"):
        settings.owner_id = "other"  # type: ignore[misc]  # what the test is about
    with pytest.raises(ValidationError, match="frozen"):
        settings.bus.slots = 1  # type: ignore[misc]  # what the test is about


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("AGENTD_BUS__SLOTZ", "AGENTD_BUS__SLOTS"),
        ("AGENTD_TENANTID", "AGENTD_TENANT_ID"),
        ("AGENTD_bus__slots", "AGENTD_BUS__SLOTS"),
        ("AGENTD_TELEMETRY__HTP_PORT", "AGENTD_TELEMETRY__HTTP_PORT"),
        ("AGENTD_CONFIGG", "AGENTD_CONFIG"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_nearest(variable: str, nearest: str) -> None:
    assert _problems(None, **{variable: "1"}) == (f"{variable}: unknown environment variable; did you mean {nearest}?",)


def test_a_whole_group_is_no_variable() -> None:
    (problem,) = _problems(AGENTD_BUS='{"slots": 3}')
    assert problem.startswith("AGENTD_BUS: unknown environment variable")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AGENTD_SERVICE_HOST", "10.0.0.1"),
        ("AGENTD_SERVICE_PORT", "80"),
        ("AGENTD_SERVICE_PORT_HTTP", "80"),
        ("AGENTD_PORT", "tcp://10.0.0.1:80"),
        ("AGENTD_METRICS_PORT", "tcp://10.0.0.1:80"),
        ("AGENTD_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("AGENTD_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("AGENTD_TEST_KUBECONFIG", "/x"),
    ],
)
def test_variables_of_others_are_left_alone(variable: str, value: str) -> None:
    assert load(None, _environment(**{variable: value})).settings.owner_id == _ID


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("bus:\n  slotz: 3", "bus.slotz (file {file}): unknown key; did you mean bus.slots?"),
        ("buss:\n  slots: 3", "buss (file {file}): unknown key; did you mean bus?"),
        ("1: 2", "1 (file {file}): unknown key"),
        ("bus: 3", "bus (file {file}): found 3; expected keys with values"),
        ("bus:\n  slots: 0", "bus.slots (file {file}): found 0; input should be greater than or equal to 1"),
        ("tenant_id: x\nbus: {slots: [1]}", "bus.slots (file {file}): found [1]; input should be a valid integer"),
        (
            "registry:\n  pull_principals: everybody",
            (
                "registry.pull_principals (file {file}): found 'everybody'; "
                'expected a list; in a variable as JSON, such as ["a", "b"]'
            ),
        ),
        (
            "registry:\n  pull_principals: [1]",
            "registry.pull_principals.0 (file {file}): found 1; input should be a valid string",
        ),
        (
            "drain:\n  grace_s: 60",
            "drain (file {file}): hard_exit_s must not be below grace_s and flush_s together",
        ),
    ],
)
def test_a_bad_file_is_told_by_key_origin_found_and_allowed(tmp_path: Path, text: str, problem: str) -> None:
    file = _file(tmp_path, text)
    assert _problems(file) == (problem.format(file=file),)


def test_a_bad_variable_is_told_likewise() -> None:
    (problem,) = _problems(AGENTD_BUS__SLOTS="many")
    assert problem.startswith(
        "bus.slots (environment AGENTD_BUS__SLOTS): found 'many'; input should be a valid integer"
    )


def test_a_contradiction_names_all_that_it_comes_from(tmp_path: Path) -> None:
    file = _file(tmp_path, "bus: {receivers_min: 9}")
    assert _problems(file, AGENTD_BUS__RECEIVERS_MAX="8") == (
        f"bus (environment AGENTD_BUS__RECEIVERS_MAX, file {file}): receivers_min must not be above receivers_max",
    )


def test_what_is_missing_is_told_by_its_own_key() -> None:
    with pytest.raises(SettingsError) as caught:
        load(None, {})
    assert caught.value.problems == tuple(
        f"{key}: is missing; set {variable}, or the key in a settings file"
        for key, variable in (
            ("tenant_id", "AGENTD_TENANT_ID"),
            ("cluster_id", "AGENTD_CLUSTER_ID"),
            ("reports_queue_url", "AGENTD_REPORTS_QUEUE_URL"),
            ("commands.queue_url", "AGENTD_COMMANDS__QUEUE_URL"),
        )
    )


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    file = _file(tmp_path, "bus:\n  slots: 0\n  slotz: 1\n")
    assert len(_problems(file, AGENTD_X="1", AGENTD_TENANT_ID="x", AGENTD_DRAIN__FLUSH_S="-1")) == 5


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.yaml", "bus: [", "is no YAML"),
        ("a.yaml", "a: b: c", "is no YAML"),
        ("a.yaml", "!!python/object/apply:os.getcwd []", "is no YAML"),
        ("a.toml", "bus = ", "is no TOML"),
        ("a.yaml", "- 1", "expected keys with values"),
        ("a.yaml", "text", "expected keys with values"),
    ],
)
def test_a_file_that_cannot_be_understood(tmp_path: Path, name: str, text: str, told: str) -> None:
    file = _file(tmp_path, text, name)
    (problem,) = _problems(file)
    assert problem.startswith(f"settings file {file}: ")
    assert told in problem


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (missing,) = _problems(tmp_path / "none.yaml")
    (folder,) = _problems(tmp_path)
    binary = tmp_path / "a.yaml"
    binary.write_bytes(b"\xff\xfe\x00\x80")
    (unreadable,) = _problems(binary)
    assert "No such file" in missing
    assert "directory" in folder
    assert "is no YAML" in unreadable


def test_found_values_are_short_and_without_secrets() -> None:
    (long,) = _problems(AGENTD_TENANT_ID="x" * 5000)
    (secret,) = _problems(AGENTD_TELEMETRY__OTLP_ENDPOINT="ftp://user:hunter2@host")
    assert len(long) < 300
    assert "hunter2" not in secret
    assert "[redacted]" in secret


# -- shown -------------------------------------------------------------------------------------------------------------


def test_effective_settings_are_told_as_people_write_them() -> None:
    rows = {
        row.key: row
        for row in effective(
            load(
                None,
                _environment(
                    AGENTD_REPORTS_QUEUE_URL="https://user:hunter2@host/reports",
                    AGENTD_REGISTRY__PULL_PRINCIPALS='["1"]',
                ),
            )
        )
    }
    assert rows["bus.slots"].value == "64"
    assert rows["bus.visibility_s"].value == "60"
    assert rows["bus.batch_linger_s"].value == "0.02"
    assert rows["registry.scan_on_push"].value == "true"
    assert rows["registry.pull_principals"].value == '["1"]'
    assert rows["aws.region"].value == "-"
    assert rows["reports_queue_url"].value == "https://[redacted]@host/reports"
    assert rows["reports_queue_url"].origin == "environment AGENTD_REPORTS_QUEUE_URL"


def test_the_reference_is_current() -> None:
    assert _DOCUMENT.read_text(encoding="utf-8") == settings_reference(), "write it anew: make generate"


def test_every_setting_is_described_and_in_the_reference() -> None:
    reference = settings_reference()
    for leaf in leaves(Settings):
        assert leaf.field.description, leaf.key
        assert f"| `{leaf.key}` | `{leaf.variable}` |" in reference


def test_every_number_has_a_unit_or_counts_things() -> None:
    for leaf in leaves(Settings):
        if leaf.field.annotation is float:
            assert leaf.key.endswith("_s"), leaf.key


def test_the_owner_id_fits_a_label_and_a_tag() -> None:
    for bad in ("a/b", "-a", "a" * 64, "a b"):
        assert _problems(AGENTD_OWNER_ID=bad)[0].startswith("owner_id (environment AGENTD_OWNER_ID): found")
    assert load(None, _environment(AGENTD_OWNER_ID="team.a_b-1")).settings.owner_id == "team.a_b-1"
