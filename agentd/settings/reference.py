"""The list of settings for people, made from the tree."""

from pydantic import BaseModel

from agentd.settings.shown import number_text
from agentd.settings.tree import Json, Settings, groups_in, variable_of

_HEAD = """# Settings

Made from `agentd/settings/` and each room's `config.py` by `make generate`. `AGENTD_*` variables go before the settings file
(YAML or TOML; `--config` or `AGENTD_CONFIG`), which goes before defaults. A variable that is set to nothing counts as not set.
Lists are JSON in a variable. Unknown keys and variables are errors. Units are in the names: `_s` is seconds.

`agentd config` shows every setting in force, and where it came from.

"""
_BOUNDS = (
    ("minimum", "at least {}"),
    ("exclusiveMinimum", "above {}"),
    ("maximum", "at most {}"),
    ("exclusiveMaximum", "below {}"),
    ("maxLength", "at most {} characters"),
)


def _table(schema: Json, path: tuple[str, ...], definitions: Json, *, skip: frozenset[str] = frozenset()) -> str:
    rows = [
        _row((*path, name), field, definitions, required=name in schema.get("required", ()))
        for name, field in schema["properties"].items()
        if name not in skip
    ]
    return "| setting | variable | type | default | meaning |\n|---|---|---|---|---|\n" + "".join(rows)


def _row(path: tuple[str, ...], field: Json, definitions: Json, *, required: bool) -> str:
    variable = variable_of(".".join(path))
    if required:
        default = "required"
    elif "default" not in field:
        default = "derived"
    else:
        default = "-" if field["default"] is None else f"`{_plain(field['default'])}`"
    cells = (f"`{'.'.join(path)}`", f"`{variable}`", _type(field, definitions), default, field.get("description", ""))
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |\n"


def _plain(value: Json) -> str:
    return value if isinstance(value, str) else number_text(value)


def _type(field: Json, definitions: Json) -> str:
    """A field's JSON Schema in words."""
    options = [option for option in field.get("anyOf", [field]) if option.get("type") != "null"]
    return " or ".join(_one_type(option, definitions) for option in options)


def _one_type(field: Json, definitions: Json) -> str:
    if "$ref" in field:
        field = definitions[field["$ref"].rsplit("/", 1)[-1]]
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if field.get("type") == "array":
        return f"list of {_type(field['items'], definitions)}"
    name = {"string": "text", "path": "path"}.get(field.get("format", field.get("type", "")), field.get("type", "JSON"))
    bounds = [words.format(number_text(field[bound])) for bound, words in _BOUNDS if bound in field]
    pattern = [f"like `{field['pattern']}`"] if "pattern" in field else []
    return ", ".join([name, *bounds, *pattern])


def _section(path: tuple[str, ...], model: type[BaseModel], definitions: Json) -> str:
    """A group's own settings, then those of the groups in it."""
    group = definitions[model.__name__]
    inner = groups_in(model)
    head = f"\n{'#' * (len(path) + 1)} {'.'.join(path)}\n\n{group['description']}\n\n"
    text = head + _table(group, path, definitions, skip=frozenset(inner))
    return text + "".join(_section((*path, name), each, definitions) for name, each in inner.items())


def settings_reference() -> str:
    """Markdown: every setting with its variable, type, default and meaning."""
    schema = Settings.model_json_schema()
    definitions = schema["$defs"]
    groups = groups_in(Settings)
    text = _HEAD + _table(schema, (), definitions, skip=frozenset(groups))
    return text + "".join(_section((name,), model, definitions) for name, model in groups.items())
