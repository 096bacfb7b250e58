"""YAML text to and from plain JSON values, with the place of everything that is refused.

The text is composed to nodes, which know line and column, and the values are made from these here, so only what JSON
can say comes out of a file: no dates, no sets, no objects. YAML is version 1.2, in which `yes`, `no` and `on` are text.
"""

from __future__ import annotations

import math
import re
import warnings
from io import StringIO
from typing import TYPE_CHECKING, Any

from .errors import InvalidDocument

if TYPE_CHECKING:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import StreamMark
    from ruamel.yaml.nodes import Node

MAX_LEVELS = 100
"""How deep a document may be nested."""

MAX_ALIASED = 100_000
"""How many values the aliases of a document may stand for, all together."""

HALF_A_CHARACTER = "the text holds half of a character: write both parts of a surrogate pair, or neither"

_TAG = "tag:yaml.org,2002:"
_OTHER_VERSION = re.compile(r"^%YAML(?![ \t]+1\.2\b).*", re.MULTILINE)
_BASES = {"0x": 16, "0o": 8, "0b": 2}


def compose(text: str) -> Node | None:
    """The nodes of a text; None for one of comments only.

    Raises:
        InvalidDocument: it is malformed.
    """
    from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning
    from ruamel.yaml.reader import ReaderError

    other = _OTHER_VERSION.match(text)
    if other:
        raise InvalidDocument(f"files are YAML 1.2; remove the directive {other.group()!r}", line=1, column=1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReusedAnchorWarning)  # legal: the later one counts from there on
            root: Node | None = _yaml().compose(text)
            return root
    except MarkedYAMLError as error:
        raise _malformed(error) from None
    except ReaderError as error:
        line, column = _line_and_column(text, error.position)
        problem = f"the character {chr(error.character)!r} can't stand in YAML; write it as an escape in quotes"
        raise InvalidDocument(problem, line=line, column=column) from None
    except RecursionError:
        raise InvalidDocument(f"nested over {MAX_LEVELS} deep") from None
    except (ValueError, OverflowError) as error:  # from escapes in quotes that name no character
        raise InvalidDocument(f"malformed YAML: {error}") from None


def _malformed(error: Any) -> InvalidDocument:
    from ruamel.yaml.composer import MaxDepthExceededError

    mark = error.problem_mark or error.context_mark
    if isinstance(error, MaxDepthExceededError):
        return _at(mark, f"nested over {MAX_LEVELS} deep")
    what = ", ".join(part for part in (error.context, error.problem) if part)
    advice = next((advice for sign, advice in _ADVICE.items() if sign in what), "")
    return _at(mark, f"malformed YAML: {what}{advice}")


_ADVICE = {
    "cannot start any token": "; indent with spaces, and put text that begins with a special character in quotes",
    "mapping values are not allowed": "; put text that holds ': ' in quotes, and check the indentation",
    "but found another document": "; keep one constellation in a file",
    "undefined alias": "; define it before with '&', or put the text in quotes",
    "unexpected end of stream": "; close the quotes",
}


def _line_and_column(text: str, position: int) -> tuple[int, int]:
    return text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)


def _at(mark: StreamMark, problem: str) -> InvalidDocument:
    return InvalidDocument(problem, line=mark.line + 1, column=mark.column + 1)


def values_of(root: Node) -> Any:
    """The plain values that nodes stand for.

    Raises:
        InvalidDocument: there is a key twice, a value that JSON does not have, or too much behind aliases.
    """
    return _Reader().value(root)


class _Reader:
    """Makes values of nodes; a node that aliases lead to again is made once and counted each time."""

    def __init__(self) -> None:
        self._made: dict[Node, tuple[Any, int]] = {}
        self._open: set[Node] = set()
        self._count = 0
        self._aliased = 0

    def value(self, node: Node) -> Any:
        if node in self._open:
            raise _at(node.start_mark, f"the alias *{node.anchor} stands inside of what it stands for")
        known = self._made.get(node)
        if known is not None:
            value, count = known
            self._count += count
            self._aliased += count
            if self._aliased > MAX_ALIASED:
                raise _at(node.start_mark, f"the aliases of this file stand for over {MAX_ALIASED:,} values")
            return value
        before = self._count
        self._count += 1
        made = self._scalar(node) if isinstance(node.value, str) else self._collection(node)
        if node.anchor is not None:
            self._made[node] = made, self._count - before
        return made

    def _collection(self, node: Node) -> Any:
        tag = str(node.tag)
        self._open.add(node)
        made: Any
        if tag == f"{_TAG}map":
            made = {}
            for key_node, value_node in node.value:
                key = self._key(key_node)
                if key in made:
                    raise _at(key_node.start_mark, f"the key {key!r} is there twice; remove one")
                made[key] = self.value(value_node)
        elif tag == f"{_TAG}seq":
            made = [self.value(item) for item in node.value]
        else:
            raise _at(node.start_mark, _no_tag(tag))
        self._open.remove(node)
        return made

    def _key(self, node: Node) -> str:
        tag = str(node.tag)
        if tag == f"{_TAG}merge":
            raise _at(node.start_mark, "YAML 1.2 has no '<<'; write the fields out, or give one a whole value by alias")
        if tag != f"{_TAG}str" and isinstance(self.value(node), str) is False:
            shown = f"; write {node.value!r} in quotes" if isinstance(node.value, str) else ""
            raise _at(node.start_mark, f"keys are text{shown}")
        return str(node.value)

    def _scalar(self, node: Node) -> Any:
        tag, text = str(node.tag).removeprefix(_TAG), node.value
        try:
            match tag:
                case "str" | "timestamp" | "value" | "merge":
                    text.encode()
                    return text
                case "null":
                    return None
                case "bool":
                    return text.lower() == "true"
                case "int":
                    plain = text.replace("_", "")
                    return int(plain, _BASES.get(plain.lstrip("+-")[:2], 10))
                case "float":
                    number = float(text.replace("_", ""))
                    if math.isfinite(number):
                        return number
        except UnicodeEncodeError:
            raise _at(node.start_mark, HALF_A_CHARACTER) from None
        except ValueError:
            pass
        else:
            if tag != "float":
                raise _at(node.start_mark, _no_tag(str(node.tag)))
        raise _at(node.start_mark, f"{text[:40]!r} is no number; put it in quotes if it is text")


def _no_tag(tag: str) -> str:
    return f"the tag {tag.removeprefix(_TAG)!r} is not known here; write plain text, numbers, lists and mappings"


def locate(error: InvalidDocument, root: Node) -> None:
    """Fill in line and column of an error from its path: the key, or the item of a list, that the path ends at."""
    node, mark = root, root.start_mark
    for step in error.path:
        found = _child(node, step)
        if found is None:
            break
        mark, node = found
    error.line, error.column = mark.line + 1, mark.column + 1


def _child(node: Node, step: str | int) -> tuple[StreamMark, Node] | None:
    if isinstance(step, int):
        item = node.value[step]
        return item.start_mark, item
    if not isinstance(node.value, list):
        return None
    return next(((key.start_mark, value) for key, value in node.value if key.value == step), None)


def write(data: Any) -> str:
    """JSON values as a YAML text, in block style."""
    stream = StringIO()
    _yaml().dump(data, stream)
    return stream.getvalue()


def _style(text: str) -> str | None:
    """How text is written: several lines as a block, the unprintable by escapes, the rest as short as can be."""
    if text.isprintable():
        return None
    lines = text.split("\n")
    return "|" if all(line.isprintable() for line in lines) and lines[0][:1].strip() else '"'


def _yaml() -> YAML:
    from ruamel.yaml import YAML
    from ruamel.yaml.representer import SafeRepresenter

    class Representer(SafeRepresenter):
        """Writes text of several lines as a block, and everything out in full."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

        def represent_text(self, text: str) -> Any:
            return self.represent_scalar(f"{_TAG}str", text, style=_style(text))

    Representer.add_representer(str, Representer.represent_text)
    yaml = YAML(typ="safe", pure=True)
    yaml.max_depth = MAX_LEVELS
    yaml.width = 2**20
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # its None is meant as "not said"
    yaml.Representer = Representer
    return yaml
