"""Reads the part of Ruby that config.rb and metadata.rb are mostly written in: calls with literal arguments.

A statement is `name value, ...`, `name(value, ...)`, `variable = value`, or `name[:key] = value`. A value is a string
(with `#{...}` inside double quotes), a symbol, a number, true, false, nil, a list, `%w(..)`, a hash, ENV['X'],
__FILE__, __dir__, File.dirname, File.join, File.expand_path, Dir.home, a variable, or such values joined by + or ||.
Everything else is an error that names the line: guessing at a program would be worse.
"""

import os.path
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r]+|\#[^\n]*|\\\n)|(?P<newline>\n|;)
    |(?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    |(?P<words>%w(?:\([^)\\]*\)|\[[^\]\\]*\]|\{[^}\\]*\}))
    |(?P<number>-?(?:0|[1-9](?:_?\d){0,30})(?:\.\d{1,30})?)
    |(?P<label>[A-Za-z_]\w*:(?!:))(?=[ \t\r\n])
    |(?P<symbol>:(?:[A-Za-z_]\w*[?!]?|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'))
    |(?P<name>[A-Za-z_]\w*(?:(?:::|\.)[A-Za-z_]\w*[?!]?)*[?!]?)
    |(?P<mark>=>|\|\||[\[\](){},=+])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "e": "\x1b", "s": " ", "\n": ""}
_CONSTANTS = {"true": True, "false": False, "nil": None, "STDOUT": "STDOUT", "STDERR": "STDERR"}


# Names that begin a statement and decide about others, or run code that is not in this file; the last of them are
# Mixlib::Config's own, which set more than one thing.
_PROGRAM = frozenset({
    "if", "unless", "else", "elsif", "while", "until", "for", "case", "when", "begin", "rescue", "ensure", "end", "def",
    "class", "module", "do", "return", "next", "break", "alias", "undef", "yield", "loop", "raise", "fail", "exit",
    "abort", "load", "require", "require_relative", "autoload", "eval", "instance_eval", "send", "public_send",
    "system", "exec", "spawn", "fork", "proc", "lambda", "__END__", "from_file", "from_json", "from_toml", "from_yaml",
    "restore",
})


class SubsetError(ValueError):
    """This text is outside the subset; `line` counts from 1."""

    def __init__(self, line: int, text: str):
        super().__init__(f"line {line} is more Ruby than can be read without ruby: {text.strip()[:80]}")
        self.line, self.text = line, text.strip()[:80]


@dataclass(frozen=True, slots=True)
class Call:
    """One statement: `name` with its arguments; `key` is set for `name[key] = value`."""

    name: str
    arguments: tuple
    line: int
    key: str | None = None


@dataclass(slots=True)
class _Reader:
    text: str
    path: str
    env: Mapping[str, str]
    tokens: list[tuple[str, str, int]] = field(default_factory=list)
    variables: dict = field(default_factory=dict)
    at: int = 0

    def fail(self, line: int):
        raise SubsetError(line, self.text.splitlines()[line - 1] if line <= self.text.count("\n") + 1 else "")

    def scan(self):
        position, line, spaced = 0, 1, False
        while position < len(self.text):
            found = _TOKEN.match(self.text, position)
            if not found:
                self.fail(line)
            if found.lastgroup != "space":
                kind = "index" if found.group() == "[" and not spaced else found.lastgroup
                self.tokens.append((kind, found.group(), line))
            spaced = found.lastgroup == "space"
            line += found.group().count("\n")
            position = found.end()
        self.tokens.append(("newline", "\n", line))
        self.tokens.append(("end", "", line))

    @property
    def token(self):
        return self.tokens[self.at]

    def take(self, mark: str | None = None):
        token = self.token
        if mark is not None and token[1] != mark:
            self.fail(token[2])
        self.at += 1
        return token

    def skip_lines(self):
        while self.token[0] == "newline":
            self.at += 1

    def statements(self) -> list[Call]:
        calls = []
        self.skip_lines()
        while self.token[0] != "end":
            kind, name, line = self.take()
            if kind != "name" or name in _PROGRAM or name[-1] in "?!":
                self.fail(line)
            if self.token[1] == "=":
                if not name.isidentifier():  # Chef::Config.node_name = 'x' is a call, and no variable
                    self.fail(line)
                self.take()
                self.variables[name] = self.value()
            elif self.token[0] == "index":  # name[, where name [ would begin a list
                self.take()
                key = self.value()
                self.take("]")
                self.take("=")
                calls.append(Call(name, (self.value(),), line, str(key)))
            else:
                calls.append(Call(name, self.arguments(), line))
                if len(calls[-1].arguments) == 1:
                    self.variables[name] = calls[-1].arguments[0]  # a setting can be read back by its name
            if self.token[0] != "newline":
                self.fail(self.token[2])
            self.skip_lines()
        return calls

    def arguments(self) -> tuple:
        closing = self.token[1] == "("
        if closing:
            self.take()
            self.skip_lines()
        values = []
        while self.token[0] != "newline" and self.token[1] != ")":
            values.append(self.value())
            if self.token[1] != ",":
                break
            self.take()
            self.skip_lines()
        if closing:
            self.skip_lines()
            self.take(")")
        return tuple(values)

    def value(self):
        value = self.sum()
        while self.token[1] == "||":
            self.take()
            self.skip_lines()
            other = self.sum()
            value = other if value is None or value is False else value
        return value

    def sum(self):
        value = self.primary()
        while self.token[1] == "+":
            line = self.take()[2]
            self.skip_lines()
            other = self.primary()
            if type(value) is not type(other) or not isinstance(value, (str, list, int, float)):
                self.fail(line)
            value = value + other
        return value

    def primary(self):
        kind, text, line = self.take()
        if kind == "string":
            return self.string(text, line)
        if kind == "words":
            return text[3:-1].split()
        if kind == "number":
            return float(text) if "." in text else int(text)
        if kind == "symbol":
            return self.string(text[1:], line) if text[1] in "\"'" else text[1:]
        if text == "[":
            return self.listed("]", self.value)
        if text == "{":
            return dict(self.listed("}", self.pair))
        if kind == "name":
            return self.named(text, line)
        return self.fail(line)

    def listed(self, end: str, one):
        values = []
        self.skip_lines()
        while self.token[1] != end:
            values.append(one())
            self.skip_lines()
            if self.token[1] != end:
                self.take(",")
                self.skip_lines()
        self.take(end)
        return values

    def pair(self):
        if self.token[0] == "label":
            key = self.take()[1][:-1]
        else:
            key = self.value()
            self.take("=>")
        self.skip_lines()
        return str(key), self.value()

    def named(self, name: str, line: int):
        if name in _CONSTANTS:
            return _CONSTANTS[name]
        if name in ("__FILE__", "__dir__"):
            return self.path if name == "__FILE__" else os.path.dirname(self.path)
        if name in self.variables:
            return self.variables[name]
        if name == "ENV":
            self.take("[")
            variable = self.value()
            if not isinstance(variable, str):
                self.fail(line)
            self.take("]")
            return self.env.get(variable)
        if name == "Dir.home":
            return self.env.get("HOME", "")
        functions = {"File.dirname": self.parent, "File.join": self.joined, "File.expand_path": self.expanded}
        if name not in functions or self.token[1] != "(":
            self.fail(line)
        arguments = self.arguments()
        if not all(isinstance(argument, str) for argument in arguments):
            self.fail(line)
        try:
            return functions[name](*arguments)
        except TypeError:
            return self.fail(line)

    def parent(self, path: str) -> str:
        return os.path.dirname(path.rstrip("/")) or ("/" if path.startswith("/") else ".")

    def joined(self, *parts: str) -> str:
        whole = "".join(parts[:1])
        for part in parts[1:]:  # slashes are made one where two parts meet, and nowhere else: https://...
            whole = whole.rstrip("/") + part if part.startswith("/") else f"{whole.removesuffix('/')}/{part}"
        return whole

    def expanded(self, path: str, start: str = "") -> str:
        if path == "~" or path.startswith("~/"):
            path = self.env.get("HOME", "") + path[1:]
        elif path.startswith("~"):
            raise TypeError(f"{path} is in somebody else's home")
        return os.path.abspath(os.path.join(self.expanded(start) if start else "", path))

    def string(self, text: str, line: int) -> str:
        quote, inner = text[0], text[1:-1]
        if quote == "'":
            return re.sub(r"\\([\\'])", r"\1", inner)

        def part(found: re.Match) -> str:
            if found["code"] is None:
                if found["escape"] is None:
                    self.fail(line)
                if found["escape"].isalnum() and found["escape"] not in _ESCAPES:
                    self.fail(line)
                return _ESCAPES.get(found["escape"], found["escape"])
            reader = _Reader(found["code"], self.path, self.env, variables=self.variables)
            try:
                reader.scan()
                value = reader.value()
            except SubsetError:
                self.fail(line)
            if reader.token[0] != "newline" or isinstance(value, bool) or not isinstance(value, (str, int, type(None))):
                self.fail(line)
            return "" if value is None else str(value)

        # The last are global and instance variables, and code with a brace in it.
        return re.sub(r"\\(?P<escape>.)|#\{(?P<code>[^}]*)\}|#[{$@]", part, inner, flags=re.DOTALL)


def read(text: str, path: str = "", env: Mapping[str, str] | None = None, known: Mapping | None = None) -> list[Call]:
    """Return the calls that `text` makes, in order.

    `path` is what __FILE__ says, `env` what ENV holds, `known` what names stand for before the first line.

    Raises SubsetError, with the line, for whatever is not in the subset.
    """
    reader = _Reader(text, path, env or {}, variables=dict(known or {}))
    reader.scan()
    try:
        return reader.statements()
    except RecursionError:
        return reader.fail(reader.token[2])
