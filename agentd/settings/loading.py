"""From environment, file and defaults to one tree."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource

from agentd.settings.problems import DEFAULT, SettingsError, found_text, problems_of, unknown_variables
from agentd.settings.tree import CONFIG_VARIABLE, PREFIX, Json, Leaf, Settings, is_group, leaves


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and per dotted key where the value came from: default, environment NAME, or file NAME."""

    settings: Settings
    origins: Mapping[str, str]


def load(config_file: Path | None, environ: Mapping[str, str]) -> Loaded:
    """Read the file (or the one that AGENTD_CONFIG names) and the environment. Raises SettingsError, and nothing else.

    A variable that is set to nothing counts as not set.
    """
    given = {name: value for name, value in environ.items() if name.startswith(PREFIX) and value}
    named = given.pop(CONFIG_VARIABLE, None)
    file = config_file if config_file is not None or named is None else Path(named)
    from_file = _read(file) if file is not None else {}
    variables = {leaf.variable: leaf for leaf in leaves(Settings)}
    known = {name: value for name, value in given.items() if name in variables}
    problems = unknown_variables(given, variables)
    origins = _origins(from_file, file, known)
    try:
        settings = Settings.model_validate(_merge(_with_groups(from_file), _Environment(known)()))
    except ValidationError as error:
        raise SettingsError([*problems, *problems_of(error, origins, file)]) from error
    if problems:
        raise SettingsError(problems)
    return Loaded(settings, origins)


class _Environment(EnvSettingsSource):
    """The environment as `load` was given it, in place of the process's own."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        super().__init__(Settings)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self._environ.items()}

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Json) -> Json:
        """JSON for lists; what is no JSON stays as it is, for validation to tell of like of any other value."""
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value


def _read(file: Path) -> Json:
    try:
        text = file.read_text(encoding="utf-8")
        content = tomllib.loads(text) if file.suffix == ".toml" else yaml.safe_load(text)
    except OSError as error:
        raise SettingsError([f"settings file {file}: cannot be read: {error.strerror or error}"]) from error
    except (ValueError, yaml.YAMLError) as error:
        kind = "TOML" if file.suffix == ".toml" else "YAML"
        raise SettingsError([f"settings file {file}: is no {kind}: {' '.join(str(error).split())}"]) from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingsError([f"settings file {file}: found {found_text(content)}; expected keys with values"])
    return _with_text_keys(content)


def _with_text_keys(content: Json) -> Json:
    """YAML keys may be numbers; as text they are unknown like any other."""
    if not isinstance(content, dict):
        return content
    return {str(name): _with_text_keys(value) for name, value in content.items()}


def _with_groups(values: Mapping[str, Json]) -> dict[str, Json]:
    """Each group present, so that what is missing in it is told by its own key. An empty one is as good as none."""
    groups: dict[str, Json] = {name: {} for name, field in Settings.model_fields.items() if is_group(field)}
    return {**groups, **{name: value for name, value in values.items() if not (name in groups and value is None)}}


def _merge(below: Mapping[str, Json], above: Mapping[str, Json]) -> dict[str, Json]:
    merged = dict(below)
    for name, value in above.items():
        inner = merged.get(name)
        merged[name] = _merge(inner, value) if isinstance(value, Mapping) and isinstance(inner, Mapping) else value
    return merged


def _origins(from_file: Mapping[str, Json], file: Path | None, variables: Mapping[str, str]) -> dict[str, str]:
    return {leaf.key: _origin(leaf, from_file, file, variables) for leaf in leaves(Settings)}


def _origin(leaf: Leaf, from_file: Mapping[str, Json], file: Path | None, variables: Mapping[str, str]) -> str:
    if leaf.variable in variables:
        return f"environment {leaf.variable}"
    return f"file {file}" if file is not None and _has(from_file, leaf.path) else DEFAULT


def _has(values: Json, path: tuple[str, ...]) -> bool:
    for name in path:
        if not isinstance(values, Mapping) or name not in values:
            return False
        values = values[name]
    return True
