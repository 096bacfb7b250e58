"""Calls and results in each provider's own words, as its documentation shows them."""

from __future__ import annotations

from typing import Any

import pytest

from constellation_tools import tool
from constellation_tools.dialects import DIALECTS, ToolCall, ToolResult

from .described import of_one


@tool
def weather(city: str, days: int = 1) -> str:
    """Forecast the weather."""
    return f"{city}, {days}"


CALL = ToolCall("call00001", "weather", {"city": "Rome"})
GOOD = ToolResult("call00001", "weather", "sunny")
TABLE = ToolResult("call00002", "weather", {"days": [1, 2]})
BAD = ToolResult("call00003", "weather", "no such city", is_error=True)

ANSWERS: dict[str, Any] = {
    "openai-chat": {
        "choices": [
            {
                "message": {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {
                            "id": "call00001",
                            "type": "function",
                            "function": {"name": "weather", "arguments": '{"city":"Rome","days":null}'},
                        },
                        {"id": "x", "type": "custom", "custom": {"name": "grep", "input": "a"}},
                    ],
                }
            }
        ]
    },
    "openai-responses": {
        "output": [
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {
                "type": "function_call",
                "id": "fc_1",
                "call_id": "call00001",
                "name": "weather",
                "arguments": '{"city":"Rome","days":null}',
                "status": "completed",
            },
        ]
    },
    "anthropic": {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "Let me look."},
            {"type": "tool_use", "id": "call00001", "name": "weather", "input": {"city": "Rome"}},
        ],
    },
    "gemini": {
        "candidates": [
            {
                "content": {
                    "role": "model",
                    "parts": [
                        {"text": "Let me look."},
                        {
                            "functionCall": {"id": "call00001", "name": "weather", "args": {"city": "Rome"}},
                            "thoughtSignature": "c2ln",
                        },
                    ],
                }
            }
        ]
    },
    "gemini-live": {
        "toolCall": {"functionCalls": [{"id": "call00001", "name": "weather", "args": {"city": "Rome"}}]},
    },
    "gemini-openapi": {
        "candidates": [{"content": {"parts": [{"functionCall": {"name": "weather", "args": {"city": "Rome"}}}]}}]
    },
    "bedrock": {
        "output": {
            "message": {
                "role": "assistant",
                "content": [
                    {"text": "Let me look."},
                    {"toolUse": {"toolUseId": "call00001", "name": "weather", "input": {"city": "Rome"}}},
                ],
            }
        },
        "stopReason": "tool_use",
    },
    "mistral": {
        "choices": [
            {
                "message": {
                    "role": "assistant",
                    "tool_calls": [{"id": "call00001", "function": {"name": "weather", "arguments": {"city": "Rome"}}}],
                }
            }
        ]
    },
    "cohere": {
        "message": {
            "role": "assistant",
            "tool_plan": "I will look.",
            "tool_calls": [
                {
                    "id": "call00001",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city": "Rome"}'},
                }
            ],
        }
    },
    "mcp": {
        "jsonrpc": "2.0",
        "id": "call00001",
        "method": "tools/call",
        "params": {"name": "weather", "arguments": {"city": "Rome"}},
    },
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_providers_answer_is_read_with_arguments_as_the_tool_has_them(dialect: str) -> None:
    (call,) = DIALECTS[dialect].offer([weather]).calls(ANSWERS[dialect])
    assert (call.name, call.arguments, call.problem) == ("weather", {"city": "Rome"}, None)
    assert call.id == ("nameless-0" if dialect == "gemini-openapi" else "call00001")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_answer_without_calls_has_none(dialect: str) -> None:
    answers: dict[str, Any] = {
        "openai-chat": {"choices": [{"message": {"role": "assistant", "content": "Hello."}}]},
        "mistral": {"choices": [{"message": {"role": "assistant", "content": "Hello.", "tool_calls": None}}]},
        "openai-responses": {"output": [{"type": "message", "content": []}]},
        "anthropic": {"role": "assistant", "content": "Hello."},
        "gemini": {"candidates": [{"content": {"parts": [{"text": "Hello."}]}}]},
        "gemini-live": {"serverContent": {"turnComplete": True}},
        "gemini-openapi": {"candidates": [{"finishReason": "STOP"}]},
        "bedrock": {"output": {"message": {"role": "assistant", "content": [{"text": "Hello."}]}}},
        "cohere": {"message": {"role": "assistant", "content": [{"type": "text", "text": "Hello."}]}},
    }
    if dialect in answers:
        assert DIALECTS[dialect].read_calls(answers[dialect]) == []


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_call_that_is_written_is_read_as_the_same(dialect: str) -> None:
    for arguments in ({"city": "Rome"}, {}, {"city": 'a "b" \\ é', "days": 3}):
        (message,) = DIALECTS[dialect].write_calls([ToolCall("call00001", "weather", arguments)])
        assert DIALECTS[dialect].read_calls(message) == [ToolCall("call00001", "weather", arguments)]


FUNCTIONS: Any = lambda p: {  # noqa: E731
    "tools": [
        {
            "functionDeclarations": [
                {"name": "weather", "description": "Forecast the weather.", "parametersJsonSchema": p}
            ]
        }
    ]
}

DECLARED: dict[str, Any] = {
    "openai-chat": lambda p: {
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "weather",
                    "description": "Forecast the weather.",
                    "parameters": p,
                    "strict": True,
                },
            }
        ]
    },
    "openai-responses": lambda p: {
        "tools": [
            {
                "type": "function",
                "name": "weather",
                "description": "Forecast the weather.",
                "parameters": p,
                "strict": True,
            }
        ]
    },
    "anthropic": lambda p: {
        "tools": [{"name": "weather", "description": "Forecast the weather.", "input_schema": p, "strict": True}]
    },
    "gemini": FUNCTIONS,
    "gemini-live": FUNCTIONS,
    "gemini-openapi": lambda p: {
        "tools": [
            {"functionDeclarations": [{"name": "weather", "description": "Forecast the weather.", "parameters": p}]}
        ]
    },
    "bedrock": lambda p: {
        "toolConfig": {
            "tools": [
                {
                    "toolSpec": {
                        "name": "weather",
                        "description": "Forecast the weather.",
                        "inputSchema": {"json": p},
                        "strict": True,
                    }
                }
            ]
        }
    },
    "mistral": lambda p: {
        "tools": [
            {
                "type": "function",
                "function": {"name": "weather", "description": "Forecast the weather.", "parameters": p},
            }
        ]
    },
    "cohere": lambda p: {
        "tools": [
            {
                "type": "function",
                "function": {"name": "weather", "description": "Forecast the weather.", "parameters": p},
            }
        ],
        "strict_tools": True,
    },
    "mcp": lambda p: {
        "tools": [
            {
                "name": "weather",
                "description": "Forecast the weather.",
                "inputSchema": p,
                "outputSchema": {
                    "type": "object",
                    "properties": {"result": {"type": "string"}},
                    "required": ["result"],
                },
            }
        ]
    },
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_request_declares_tools_in_the_providers_own_form(dialect: str) -> None:
    offer = DIALECTS[dialect].offer([weather])
    assert offer.request == DECLARED[dialect](offer.declared[0].schema)


RESULTS: dict[str, Any] = {
    "openai-chat": [
        {"role": "tool", "tool_call_id": "call00001", "content": "sunny"},
        {"role": "tool", "tool_call_id": "call00002", "content": '{"days": [1, 2]}'},
        {"role": "tool", "tool_call_id": "call00003", "content": "no such city"},
    ],
    "openai-responses": [
        {"type": "function_call_output", "call_id": "call00001", "output": "sunny"},
        {"type": "function_call_output", "call_id": "call00002", "output": '{"days": [1, 2]}'},
        {"type": "function_call_output", "call_id": "call00003", "output": "no such city"},
    ],
    "anthropic": [
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "call00001", "content": "sunny"},
                {"type": "tool_result", "tool_use_id": "call00002", "content": '{"days": [1, 2]}'},
                {"type": "tool_result", "tool_use_id": "call00003", "content": "no such city", "is_error": True},
            ],
        }
    ],
    "gemini": [
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "call00001", "name": "weather", "response": {"result": "sunny"}}},
                {"functionResponse": {"id": "call00002", "name": "weather", "response": {"days": [1, 2]}}},
                {"functionResponse": {"id": "call00003", "name": "weather", "response": {"error": "no such city"}}},
            ],
        }
    ],
    "gemini-live": [
        {
            "toolResponse": {
                "functionResponses": [
                    {"id": "call00001", "name": "weather", "response": {"result": "sunny"}},
                    {"id": "call00002", "name": "weather", "response": {"days": [1, 2]}},
                    {"id": "call00003", "name": "weather", "response": {"error": "no such city"}},
                ]
            }
        }
    ],
    "bedrock": [
        {
            "role": "user",
            "content": [
                {"toolResult": {"toolUseId": "call00001", "content": [{"text": "sunny"}], "status": "success"}},
                {
                    "toolResult": {
                        "toolUseId": "call00002",
                        "content": [{"json": {"days": [1, 2]}}],
                        "status": "success",
                    }
                },
                {"toolResult": {"toolUseId": "call00003", "content": [{"text": "no such city"}], "status": "error"}},
            ],
        }
    ],
    "mistral": [
        {"role": "tool", "tool_call_id": "call00001", "name": "weather", "content": "sunny"},
        {"role": "tool", "tool_call_id": "call00002", "name": "weather", "content": '{"days": [1, 2]}'},
        {"role": "tool", "tool_call_id": "call00003", "name": "weather", "content": "no such city"},
    ],
    "cohere": [
        {
            "role": "tool",
            "tool_call_id": f"call0000{number}",
            "content": [{"type": "document", "document": {"data": data}}],
        }
        for number, data in enumerate(['{"result": "sunny"}', '{"days": [1, 2]}', '{"error": "no such city"}'], 1)
    ],
    "mcp": [
        {
            "jsonrpc": "2.0",
            "id": "call00001",
            "result": {
                "content": [{"type": "text", "text": "sunny"}],
                "isError": False,
                "structuredContent": {"result": "sunny"},
            },
        },
        {
            "jsonrpc": "2.0",
            "id": "call00002",
            "result": {
                "content": [{"type": "text", "text": '{"days": [1, 2]}'}],
                "isError": False,
                "structuredContent": {"result": {"days": [1, 2]}},
            },
        },
        {
            "jsonrpc": "2.0",
            "id": "call00003",
            "result": {"content": [{"type": "text", "text": "no such city"}], "isError": True},
        },
    ],
}


@pytest.mark.parametrize("dialect", RESULTS)
def test_results_are_written_in_the_providers_own_form(dialect: str) -> None:
    assert DIALECTS[dialect].offer([weather]).results([GOOD, TABLE, BAD]) == RESULTS[dialect]


def test_made_up_ids_are_never_told_to_the_provider() -> None:
    gemini = DIALECTS["gemini"]
    part = {"functionCall": {"name": "weather", "args": {}}}
    calls = gemini.read_calls({"parts": [part, {"text": "and"}, part]})
    assert [call.id for call in calls] == ["nameless-0", "nameless-1"]
    assert gemini.write_calls(calls) == [{"role": "model", "parts": [part, part]}]
    (message,) = gemini.write_results([ToolResult("nameless-0", "weather", {})])
    assert message["parts"] == [{"functionResponse": {"name": "weather", "response": {}}}]


def test_what_gemini_wants_back_with_a_call_is_sent_back_with_it() -> None:
    (call,) = DIALECTS["gemini"].read_calls(ANSWERS["gemini"])
    assert call.extra == {"thoughtSignature": "c2ln"}
    (message,) = DIALECTS["gemini"].write_calls([call])
    assert message["parts"][0]["thoughtSignature"] == "c2ln"


def test_servers_that_give_no_ids_get_made_up_ones_by_which_results_are_told_apart() -> None:
    part = {"type": "function", "function": {"name": "weather", "arguments": "{}"}}
    calls = DIALECTS["openai-chat"].read_calls({"tool_calls": [part, {**part, "id": ""}, {**part, "id": "own"}]})
    assert [call.id for call in calls] == ["nameless-0", "nameless-1", "own"]


def test_parts_of_arguments_that_gemini_was_not_asked_for_are_no_calls() -> None:
    piece = {"functionCall": {"partialArgs": [{"jsonPath": "$.city", "stringValue": "Ro"}], "willContinue": True}}
    assert DIALECTS["gemini"].read_calls({"parts": [piece, {"functionCall": {}}]}) == []


def chat(arguments: Any) -> dict[str, Any]:
    function = {"name": "weather", "arguments": arguments}
    return {"tool_calls": [{"id": "1", "type": "function", "function": function}]}


@pytest.mark.parametrize(
    ("given", "arguments"),
    [
        ('{"city": "Rome"}', {"city": "Rome"}),
        ("", {}),
        ("  ", {}),
        (None, {}),
        ({"city": "Rome"}, {"city": "Rome"}),
        ('"{\\"city\\": \\"Rome\\"}"', {"city": "Rome"}),
    ],
)
def test_arguments_are_read_in_every_form_that_models_send(given: Any, arguments: dict[str, Any]) -> None:
    (call,) = DIALECTS["openai-chat"].read_calls(chat(given))
    assert (call.arguments, call.problem) == (arguments, None)


@pytest.mark.parametrize(
    ("given", "problem"),
    [('{"city": "Ro', "not valid JSON"), ("[1]", "type list"), ("3", "type int"), ('"text"', "not valid JSON")],
)
def test_a_call_whose_arguments_cannot_be_read_is_returned_with_the_problem_beside_its_siblings(
    given: str, problem: str
) -> None:
    answer = {"tool_calls": chat(given)["tool_calls"] + chat('{"city": "Rome"}')["tool_calls"]}
    broken, whole = DIALECTS["openai-chat"].offer([weather]).calls(answer)
    assert broken.problem is not None
    assert problem in broken.problem
    assert broken.arguments == {}
    assert whole.problem is None


def test_calls_of_tools_that_were_not_offered_are_returned_as_they_came() -> None:
    answer = {"tool_calls": [{"id": "1", "function": {"name": "other", "arguments": '{"a": null}'}}]}
    (call,) = DIALECTS["openai-chat"].offer([weather]).calls(answer)
    assert (call.name, call.arguments) == ("other", {"a": None})


def test_objects_sent_as_text_are_parsed_and_text_that_is_none_is_left_to_the_tool() -> None:
    described = of_one({"type": "object", "additionalProperties": {"type": "integer"}})
    offer = DIALECTS["gemini-openapi"].offer([described])
    for sent, restored in (('{"b": 1}', {"b": 1}), ("{", "{"), ({"b": 1}, {"b": 1}), ("3", "3")):
        (call,) = offer.calls({"parts": [{"functionCall": {"name": "plain", "args": {"a": sent}}}]})
        assert call.arguments == {"a": restored}


class TestMCPResults:
    def test_an_object_is_its_own_structured_content_and_all_else_is_wrapped(self) -> None:
        point = of_one({})
        table = {"type": "object", "properties": {"x": {"type": "integer"}}}
        for output, value, structured in (
            (table, {"x": 1}, {"x": 1}),
            ({"$ref": "#/$defs/T", "$defs": {"T": table}}, {"x": 1}, {"x": 1}),
            ({"anyOf": [table, {"type": "null"}]}, {"x": 1}, {"result": {"x": 1}}),
            ({"type": "array"}, [1], {"result": [1]}),
        ):
            described = type(point)(point.input_schema, output_schema=output)
            (answer,) = DIALECTS["mcp"].offer([described]).results([ToolResult("1", "plain", value)])
            assert answer["result"]["structuredContent"] == structured
            (declared,) = DIALECTS["mcp"].offer([described]).request["tools"]
            assert declared["outputSchema"]["type"] == "object"

    def test_a_root_that_refers_to_itself_is_said_in_place(self) -> None:
        tree = {"type": "object", "properties": {"below": {"$ref": "#/$defs/T"}}}
        described = type(of_one({}))(of_one({}).input_schema, output_schema={"$ref": "#/$defs/T", "$defs": {"T": tree}})
        (declared,) = DIALECTS["mcp"].offer([described]).request["tools"]
        assert declared["outputSchema"] == {**tree, "$defs": {"T": tree}}

    def test_a_result_of_unknown_shape_is_text_alone(self) -> None:
        (answer,) = DIALECTS["mcp"].offer([of_one({})]).results([ToolResult("1", "plain", {"x": 1})])
        assert answer["result"] == {"content": [{"type": "text", "text": '{"x": 1}'}], "isError": False}
