"""Writes the site's pages that say what the code says, and makes the others fit for it."""

from __future__ import annotations

import html
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import hubgate.testing
from harness.results.schema import json_schema
from hubgate.cli import COMMANDS, cli

ROOT: Final = Path(__file__).parent.parent
OPENAPI: Final = ROOT / "new_stack" / "api" / "operation" / "openapi.json"
PROCESSES: Final = {"api": "new_stack.api", "worker": "new_stack.worker", "hub": "legacy_hub_sim"}
"""Commands that are programs of their own: their `--help` is theirs."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    pages = {
        "reference/python.md": python_names(),
        "reference/cli.md": commands(),
        "reference/http.md": http_api(json.loads(OPENAPI.read_bytes())),
        "reference/run.md": run_json(json_schema()),
        "changelog.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").replace("](docs/", "]("),
    }
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - mkdocs's names
    """Name a file that lies beside the docs instead of linking to it, since the site has no such page."""
    if "/" in page.file.src_uri:
        return markdown

    def named(found: re.Match[str]) -> str:
        text, target = found.groups()
        if target in {"../README.md", "../CHANGELOG.md"}:
            return f"[{text}]({'index' if 'README' in target else 'changelog'}.md)"
        if not (ROOT / "docs" / target).exists():
            raise FileNotFoundError(f"{page.file.src_uri}: there is no {target}")
        return text

    return re.sub(r"\[([^\]]+)\]\((\.\./[^)#]+)\)", named, markdown).replace("<details>", "<details markdown>")


def python_names() -> str:
    """Every name of `hubgate` and `hubgate.testing`, from its docstrings."""
    lines = ["# What can I import?", "", "From `hubgate`, and from nowhere else; all other modules may change.", ""]
    for module in (hubgate, hubgate.testing):
        for name in module.__all__:
            found = getattr(module, name)
            shown = name if module is hubgate else f"testing.{name}"
            lines += [f"## {shown}", "", f"::: {found.__module__}.{found.__qualname__}", ""]
    return "\n".join(lines)


def commands() -> str:
    """Every command with its options."""
    lines = ["# What does each command do?", "", inspect.cleandoc(cli.help or ""), ""]
    context = click.Context(cli, info_name="hubgate")
    for name in COMMANDS:
        if name in PROCESSES:
            lines += [f"## hubgate {name}", "", COMMANDS[name][1], "", "```text", _help_of(PROCESSES[name]), "```", ""]
        elif command := cli.get_command(context, name):
            lines += _command(f"hubgate {name}", command)
    return "\n".join(lines)


def _command(path: str, command: click.Command) -> Iterator[str]:
    with click.Context(command, info_name=path) as context:
        usage = " ".join(command.collect_usage_pieces(context))
        yield from (f"## {path}", "", f"`{path} {usage}`", "", inspect.cleandoc(command.help or ""), "")
        options = [option for option in command.params if isinstance(option, click.Option)]
        if options:
            yield from ("| option | meaning |", "| --- | --- |")
        for option in options:
            spelled, meaning = option.get_help_record(context) or ("", "")
            yield f"| <code>{html.escape(spelled).replace('|', '&#124;')}</code> | {_cell(meaning)} |"
        yield ""
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from _command(f"{path} {name}", inner)


def _help_of(module: str) -> str:
    called = [sys.executable, "-m", module, "--help"]
    return subprocess.check_output(called, cwd=ROOT, env={"COLUMNS": "100"}, text=True)  # noqa: S603 - our own modules


def http_api(document: Mapping[str, Any]) -> str:
    """The OpenAPI document, route by route."""
    lines = [
        "# Which routes does the API have?",
        "",
        "For machines: `GET /openapi.json`. [protocol.md](../protocol.md) has examples, streams and WebSockets.",
        "",
    ]
    for path, ways in document["paths"].items():
        for method, route in ways.items():
            if method == "parameters":
                continue
            lines += [f"## {method.upper()} {path}", "", route.get("summary", ""), "", route.get("description", ""), ""]
            given = [_resolved(one, document) for one in (*ways.get("parameters", ()), *route.get("parameters", ()))]
            if given:
                lines += ["| parameter | in | type | meaning |", "| --- | --- | --- | --- |"]
                for one in given:
                    meaning = _cell(one.get("description", ""))
                    lines.append(f"| `{one['name']}` | {one['in']} | {_cell(_type(one['schema']))} | {meaning} |")
                lines.append("")
            for kind, body in _resolved(route.get("requestBody", {}), document).get("content", {}).items():
                lines += [f"Body, `{kind}`: {_type(body.get('schema', {}))}", ""]
            lines += ["| answer | meaning |", "| --- | --- |"]
            for status, answer in route["responses"].items():
                lines.append(f"| {status} | {_cell(_resolved(answer, document).get('description', ''))} |")
            lines.append("")
    return "\n".join([*lines, "## Types", "", *_types(document["components"]["schemas"])])


def run_json(schema: Mapping[str, Any]) -> str:
    """The schema of run.json, type by type."""
    lines = [
        "# What is in run.json?",
        "",
        schema["description"],
        "The same for machines: [run-schema.json](../run-schema.json).",
        "",
    ]
    return "\n".join([*lines, *_types(schema["$defs"], heading="##")])


def _types(schemas: Mapping[str, Any], heading: str = "###") -> Iterator[str]:
    for name, schema in schemas.items():
        yield from (f"{heading} {name}", "", schema.get("description", ""), "")
        if "enum" in schema:
            yield from (f"One of {', '.join(f'`{value}`' for value in schema['enum'])}.", "")
        elif "properties" not in schema:
            yield from (_type(schema), "")
        else:
            yield from ("| field | type | meaning |", "| --- | --- | --- |")
            for field, kind in schema["properties"].items():
                needed = ", required" if field in schema.get("required", ()) else ""
                yield f"| `{field}` | {_cell(_type(kind) + needed)} | {_cell(kind.get('description', ''))} |"
            yield ""


def _type(schema: Mapping[str, Any]) -> str:
    """A JSON Schema in a few words, with links to the types of the page."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for many in ("anyOf", "oneOf", "allOf"):
        if many in schema:
            return " or ".join(_type(one) for one in schema[many])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    kind = schema.get("type", "anything")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _resolved(part: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in part:
        return part
    found: Any = document
    for key in part["$ref"].removeprefix("#/").split("/"):
        found = found[key]
    return dict(found)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
