"""Docstrings of the three styles: what is taken out of them, and what stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constellation_tools.docstrings import parse_docstring

GOOGLE = """Count words.

    Reads the file once.

    Args:
        path: The file
            to read.
        mode (str, optional): How: fast or exact.
        *rest: More
          files.

    Returns:
        The counts.
    """

NUMPY = """Count words.

    Reads the file once.

    Parameters
    ----------
    path : str
        The file
        to read.
    mode : {'fast', 'exact'}, optional
        How: fast or exact.
    *rest
        More files.

    Returns
    -------
    int
        The counts.
    """

SPHINX = """Count words.

    Reads the file once.

    :param path: The file
        to read.
    :type path: str
    :param str mode: How: fast or exact.
    :param rest: More files.
    :returns: The counts.
    """


@pytest.mark.parametrize(("text", "kept"), [(GOOGLE, "Returns:"), (NUMPY, "Returns\n-------"), (SPHINX, ":returns:")])
def test_each_style_gives_the_same_parameters_and_keeps_the_rest(text: str, kept: str) -> None:
    found = parse_docstring(text)
    assert found.parameters == {
        "path": "The file to read.",
        "mode": "How: fast or exact.",
        "rest": "More files.",
    }
    assert found.description.startswith("Count words.\n\nReads the file once.\n\n" + kept)
    assert "path" not in found.description


@pytest.mark.parametrize("text", [None, "", "   \n  "])
def test_no_docstring_says_nothing(text: str | None) -> None:
    found = parse_docstring(text)
    assert (found.description, found.parameters) == ("", {})


def test_one_numpy_entry_may_describe_several_parameters() -> None:
    found = parse_docstring("Do.\n\nParameters\n----------\nx, y : float\n    A coordinate.\n")
    assert found.parameters == {"x": "A coordinate.", "y": "A coordinate."}


def test_a_paragraph_that_only_mentions_args_is_not_a_section() -> None:
    text = "Do.\n\nArgs:\nnot indented, so prose."
    assert parse_docstring(text).description == text


def test_a_parameter_section_may_stand_before_more_text() -> None:
    found = parse_docstring("Do.\n\nArgs:\n    x: One.\n\nAfterwards, rest.")
    assert found.description == "Do.\n\nAfterwards, rest."
    assert found.parameters == {"x": "One."}


def test_a_parameter_without_words_is_left_out() -> None:
    assert parse_docstring("Do.\n\nArgs:\n    x:\n    y: Two.").parameters == {"y": "Two."}


@given(st.text(alphabet="ab:-() \n*\t,", max_size=80))
def test_any_text_is_taken_apart_without_failing(text: str) -> None:
    parse_docstring(f"Summary.\n\nArgs:\n    {text}")
    parse_docstring(f"Summary.\n\nParameters\n----------\n{text}")
