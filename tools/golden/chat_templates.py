"""Writes tests/golden/chat_templates.json and jinja.json: what Jinja2 makes of chat templates, set up as transformers does it.

    python3 -m venv /tmp/golden && /tmp/golden/bin/pip install jinja2==3.1.6
    /tmp/golden/bin/python tools/golden/chat_templates.py

The templates in tests/golden/chat_templates were written for this purpose, one in the style of each family; the conversations
are those of tests/golden/conversations.jsonl, which are request bodies. What Jinja2 refuses is null here.
"""

import json
import pathlib

import jinja2.ext
from jinja2.exceptions import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

GOLDEN = pathlib.Path(__file__).parent.parent.parent / "tests" / "golden"

# Templates that put the arguments of calls into the prompt as they are; the others get them as objects.
TEXT_ARGUMENTS = {"text_arguments", "content_is_none"}
# Roles whose content these templates take in parts; everywhere else the parts are joined with line ends.
PARTS = {
    "no_system": {"system", "user", "assistant"},
    "argument_tags": {"system", "user", "assistant", "tool"},
}


class Generation(jinja2.ext.Extension):
    """transformers' tag around what the assistant says: here it only renders its body."""

    tags = {"generation"}

    def parse(self, parser):
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def environment():
    def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def raise_exception(message):
        raise TemplateError(message)

    result = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    result.filters["tojson"] = tojson
    result.globals["raise_exception"] = raise_exception
    return result


def render(source, **variables):
    try:
        return environment().from_string(source).render(
            **{"tools": None, "documents": None, "bos_token": "<s>", "eos_token": "</s>", **variables}
        )
    except Exception as error:
        return None


def prepared(message, template):
    message = {name: value for name, value in message.items() if name == "content" or value is not None}
    content = message.get("content")
    if isinstance(content, list) and message["role"] not in PARTS.get(template, ()):
        message["content"] = "\n".join(part["text"] for part in content)
    for call in message.get("tool_calls", []):
        arguments = call["function"]["arguments"]
        if not arguments.strip():
            arguments = "{}"
        call["function"]["arguments"] = arguments if template in TEXT_ARGUMENTS else json.loads(arguments)
    return message


def prompts(path):
    source = path.read_text()
    for line in (GOLDEN / "conversations.jsonl").read_text().splitlines():
        body = json.loads(line)
        variables = body.get("chat_template_kwargs", {})
        messages = [prepared(message, path.stem) for message in body["messages"]]
        yield body["case"], [
            render(source, messages=messages, tools=body.get("tools"), add_generation_prompt=generation, **variables)
            for generation in (True, False)
        ]


CONSTRUCTS = (pathlib.Path(__file__).parent / "jinja_constructs.txt").read_text().split("\n---\n")
VALUES = {
    "text": "Hello wörld", "blank": "", "number": 3, "big": 1234567890123456789, "half": 2.5, "one": 1.0, "small": 1e-07,
    "yes": True, "nothing": None, "items": ["b", "A", "c"], "nested": {"b": [1, 2.0, None], "a": {"x": "it's"}, "items": 7},
    "people": [{"name": "Ann", "age": 30, "on": True}, {"name": "bob", "age": 25}, {"name": "Cy", "age": 30, "on": False}],
    "emoji": "a😀b",
}

templates = {path.stem: dict(prompts(path)) for path in sorted((GOLDEN / "chat_templates").glob("*.jinja"))}


def write(name, result):
    (GOLDEN / name).write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n")


write("chat_templates.json", templates)
write("jinja.json", {
    "values": VALUES,
    "constructs": [[source, render(source, **VALUES)] for source in CONSTRUCTS if source],
})
