"""What the command shows on a terminal: text from a hub, a tool or a model is seen there, and acts on nothing."""

from __future__ import annotations

import logging
from copy import copy


def visible(text: str) -> str:
    """The text on one line, with everything that would act on a terminal written out."""
    return text if text.isprintable() else "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def visible_lines(text: str) -> str:
    """The text with its line breaks, each line made visible."""
    return "\n".join(map(visible, text.split("\n")))


class VisibleFormatter(logging.Formatter):
    """Formats log records: each message on one line, and after it the traceback, if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Make text of a record, which other handlers get as it is."""
        shown = copy(record)
        shown.msg, shown.args = visible(record.getMessage()), None
        return visible_lines(super().format(shown))
