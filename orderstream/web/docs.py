"""The description as one page to read: HTML and its style, no script, nothing from elsewhere."""

import re
from collections.abc import Iterable, Iterator
from html import escape
from typing import Any

import msgspec

Json = dict[str, Any]

STYLE = """\
:root{color-scheme:light dark;--back:#fff;--soft:#f4f5f7;--line:#d9dce1;--text:#1c2128;--dim:#59636e;--link:#0757b8;
--get:#0757b8;--post:#1a6b35;--delete:#b3261e}
@media(prefers-color-scheme:dark){:root{--back:#14171c;--soft:#1d2229;--line:#343b45;--text:#e2e6ea;--dim:#9aa4af;
--link:#79b0f5;--get:#79b0f5;--post:#6fce8c;--delete:#ff9d94}}
*{box-sizing:border-box}
html{scroll-padding-top:1rem}
body{margin:0;background:var(--back);color:var(--text);font:16px/1.55 system-ui,sans-serif;overflow-wrap:anywhere}
a{color:var(--link)}
a:focus-visible,summary:focus-visible{outline:2px solid var(--link);outline-offset:2px}
nav,main{padding:1rem}
nav{background:var(--soft);border-bottom:1px solid var(--line);font-size:.875rem}
nav ul{list-style:none;margin:0 0 .75rem;padding:0}
nav li{padding:.125rem 0}
nav strong{display:block}
nav a{text-decoration:none}
nav a:hover{text-decoration:underline}
nav summary{cursor:pointer;font-weight:600}
main{max-width:56rem}
h1{margin:.5rem 0;font-size:1.75rem}
h2{margin:3rem 0 .25rem;padding-top:.5rem;border-top:1px solid var(--line);font-size:1.375rem}
h3{margin:2.25rem 0 .25rem;font-size:1.0625rem}
h4{margin:1.25rem 0 .25rem;font-size:.875rem;color:var(--dim)}
h3 a{color:inherit;text-decoration:none}
h3 a:hover{text-decoration:underline}
p{margin:.375rem 0}
code,pre{font:.875em/1.5 ui-monospace,monospace}
code{background:var(--soft);border-radius:.25rem;padding:.0625rem .25rem}
h3 code,pre code,nav code{background:none;padding:0}
h3 code{font-size:1rem}
pre{margin:.375rem 0;padding:.75rem;max-height:26rem;overflow:auto;background:var(--soft);border:1px solid var(--line);
border-radius:.375rem;overflow-wrap:normal}
summary{cursor:pointer}
dl{margin:.25rem 0;border-top:1px solid var(--line)}
dt{padding-top:.4375rem}
dd{margin:0;padding-bottom:.4375rem;border-bottom:1px solid var(--line)}
dt small,dd small,h4 small{color:var(--dim);font-size:.8125rem;font-weight:400}
.get{color:var(--get)}.post{color:var(--post)}.delete{color:var(--delete)}
.method{font-weight:700}
@media(min-width:60rem){
body{display:grid;grid-template-columns:17rem minmax(0,1fr)}
nav{position:sticky;top:0;height:100vh;overflow-y:auto;border:0;border-right:1px solid var(--line)}
main{padding:1rem 2.5rem 4rem}
dl{display:grid;grid-template-columns:minmax(9rem,15rem) minmax(0,1fr)}
dt,dd{padding:.4375rem 0;border-bottom:1px solid var(--line)}
dt{padding-right:1rem}
}
"""


def page(described: Json) -> str:
    """The whole document; `described` is OpenAPI 3.1 as `openapi` makes it."""
    title = _html(described["info"]["title"])
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}: resources and documents</title><style>{STYLE}</style></head><body>"
        f"{_contents(described)}<main><h1>{title}</h1>{_prose(described['info']['description'])}"
        '<p>For programs: <a href="openapi.json">openapi.json</a></p>'
        f"{''.join(_sections(described))}</main></body></html>"
    )


def _contents(described: Json) -> str:
    groups = [
        (tag["name"], [_link(anchor(method, path), _method(method), path) for method, path, _ in _of(described, tag)])
        for tag in described["tags"]
    ]
    groups += [("Who is asking", [_link("security", "", "Credentials")])]
    groups += [("Documents", [_link(f"schema-{name}", "", name) for name in described["components"]["schemas"]])]
    groups += [("Problems", [_link("problems", "", "By status")])]
    lists = (f"<strong>{_html(name)}</strong><ul>{''.join(links)}</ul>" for name, links in groups)
    return f'<nav aria-label="Contents"><details open><summary>Contents</summary>{"".join(lists)}</details></nav>'


def _link(anchor: str, before: str, text: str) -> str:
    return f'<li><a href="#{anchor}">{before} {_html(text)}</a></li>'


def _sections(described: Json) -> Iterator[str]:
    parts = described["components"]
    for tag in described["tags"]:
        yield f"<h2>{_html(tag['name'])}</h2>{_prose(tag['description'])}"
        yield from (_resource(method, path, operation, parts) for method, path, operation in _of(described, tag))
    yield '<h2 id="security">Who is asking</h2>'
    yield _list((name, _of_scheme(scheme), scheme["description"]) for name, scheme in parts["securitySchemes"].items())
    yield "<h2>Documents</h2>"
    yield from (_document(name, schema) for name, schema in parts["schemas"].items())
    yield '<h2 id="problems">Problems</h2><p>Types begin with <code>urn:orderstream:problem:</code>.</p>'
    yield from (_problem(name, answer, parts) for name, answer in parts["responses"].items())


def _of(described: Json, tag: Json) -> Iterator[tuple[str, str, Json]]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            if tag["name"] in operation["tags"]:
                yield method, path, operation


def _resource(method: str, path: str, operation: Json, parts: Json) -> str:
    parameters = [_resolved(parameter, parts) for parameter in operation["parameters"]]
    answers = {status: answer for status, answer in operation["responses"].items() if "$ref" not in answer}
    problems = (
        f'<a href="#problem-{status}">{status}</a>'
        for status, answer in operation["responses"].items()
        if "$ref" in answer
    )
    schemes = (f"<code>{next(iter(scheme))}</code>" for scheme in operation["security"])
    return (
        f'<section><h3 id="{anchor(method, path)}"><a href="#{anchor(method, path)}">{_method(method)} '
        f"<code>{_html(path)}</code></a></h3><p><b>{_html(operation['summary'])}.</b> "
        f"{_inline(operation['description'])}</p>"
        f'<p><a href="#security">Credential</a>: {" or ".join(schemes) or "none"}</p>'
        f"{_parameters(parameters)}{_request_body(operation)}"
        f"{''.join(_answer(status, answer, parts) for status, answer in answers.items())}"
        f"<h4>Problems</h4><p>{', '.join(problems)}</p></section>"
    )


def _parameters(parameters: list[Json]) -> str:
    if not parameters:
        return ""
    rows = ((one["name"], f"{one['in']}, {_kind(one['schema'])}", one["description"]) for one in parameters)
    return f"<h4>Parameters</h4>{_list(rows)}"


def _request_body(operation: Json) -> str:
    contents = operation.get("requestBody", {}).get("content", {})
    return "".join(f"<h4>Body <small>{media}</small></h4>{_content(content)}" for media, content in contents.items())


def _answer(status: str, answer: Json, parts: Json) -> str:
    contents = answer.get("content", {})
    shown = "".join(map(_content, contents.values()))
    return (
        f"<h4>{status} <small>{', '.join(contents)}</small></h4><p>{_inline(answer['description'])}</p>"
        f"{shown}{_headers(answer['headers'], parts)}"
    )


def _headers(headers: Json, parts: Json) -> str:
    described = ((name, _resolved(header, parts)) for name, header in headers.items())
    return _list(
        (name, "header" if header["required"] else "header, not always", header["description"])
        for name, header in described
    )


def _content(content: Json) -> str:
    schema = content["schema"]
    if "description" in schema:
        return f"{_prose(schema['description'])}{_list(map(_event, schema['oneOf']))}{_examples(content)}"
    is_named = "$ref" in schema or "oneOf" in schema
    return f"{f'<p>{_kind(schema)}</p>' if is_named else ''}{_examples(content)}"


def _event(schema: Json) -> tuple[str, str, str]:
    """A row for an event of a stream."""
    which = "with" if "id" in schema["required"] else "without"
    data = _kind(schema["properties"]["data"]["contentSchema"])
    return schema["title"], f"{data}, {which} <code>id</code>", ""


def _examples(content: Json) -> str:
    return "".join(
        f"<details><summary>Example: {_html(name)}</summary>"
        f"<pre tabindex=0><code>{_shown(example['value'])}</code></pre></details>"
        for name, example in content.get("examples", {}).items()
    )


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return _html(value)
    return _html(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def _document(name: str, schema: Json) -> str:
    fields = schema.get("properties", {}).items()
    rows = ((field, _field(field, of, schema), of.get("description", "")) for field, of in fields)
    return (
        f'<section><h3 id="schema-{name}"><a href="#schema-{name}"><code>{name}</code></a></h3>'
        f"{_prose(schema.get('description', ''))}{_list(rows)}</section>"
    )


def _field(name: str, of: Json, schema: Json) -> str:
    return _kind(of) + ("" if name in schema.get("required", ()) else ", not always")


def _problem(name: str, answer: Json, parts: Json) -> str:
    status = name.removeprefix("Problem")
    (content,) = answer["content"].values()
    return (
        f'<section><h3 id="problem-{status}"><a href="#problem-{status}">{status}</a></h3>'
        f"{_prose(answer['description'])}{_headers(answer['headers'], parts)}{_examples(content)}</section>"
    )


def _kind(schema: Json) -> str:
    """What a value is, as HTML: its type, links to documents, and the words that it may be."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#schema-{name}">{name}</a>'
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(dict.fromkeys(_kind(choice) for choice in choices))
    if "items" in schema:
        return f"list of {_kind(schema['items'])}"
    words = schema.get("enum") or schema.get("x-extensible-enum")
    if words:
        more = ", or another" if "x-extensible-enum" in schema else ""
        return ", ".join(f"<code>{_html(str(word))}</code>" for word in words) + more + _bounds(schema)
    return _html(schema.get("type", "any")) + _bounds(schema)


def _bounds(schema: Json) -> str:
    bounds = ""
    if "minimum" in schema:
        bounds = f", {schema['minimum']} " + (f"to {schema['maximum']}" if "maximum" in schema else "at least")
    return bounds + (f", by default <code>{schema['default']}</code>" if "default" in schema else "")


def _of_scheme(scheme: Json) -> str:
    return _html(f"{scheme['in']} {scheme['name']}" if "in" in scheme else f"Authorization: {scheme['scheme']}")


def _list(rows: Iterable[tuple[str, str, str]]) -> str:
    """Rows of a name, what it is (HTML), and a text."""
    shown = "".join(
        f"<dt><code>{_html(name)}</code></dt><dd>{_inline(text)} <small>{what}</small></dd>"
        for name, what, text in rows
    )
    return f"<dl>{shown}</dl>" if shown else ""


def _resolved(reference: Json, parts: Json) -> Json:
    _, _, kind, name = reference["$ref"].split("/")
    return dict(parts[kind][name])


def _method(method: str) -> str:
    return f'<span class="method {method}">{method.upper()}</span>'


def anchor(method: str, path: str) -> str:
    """Of a resource's method on the page."""
    return re.sub(r"[^a-z0-9_]+", "-", f"{method}{path}").strip("-")


def _prose(text: str) -> str:
    return "".join(f"<p>{_inline(paragraph)}</p>" for paragraph in text.split("\n\n") if paragraph)


def _inline(text: str) -> str:
    """Text whose `code` is set off."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", _html(text))


def _html(text: str) -> str:
    return escape(text, quote=False)
