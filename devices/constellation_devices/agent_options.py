"""What the command line says of the agent that carries out a device's prompts: read, and written for a child."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any

import typer

from constellation_protocol.kinds import A2AAgent, ModelAgent

from .errors import BadDeviceSetup

Model = Annotated[
    str | None,
    typer.Option(
        help="Carry out prompts with this model, such as openai/gpt-5 or vllm/qwen3@http://host:8000; its key comes "
        "from the environment.",
    ),
]
A2A = Annotated[
    str | None,
    typer.Option(
        "--a2a",
        help="Have the A2A agent at this URL carry out prompts; its token comes from A2A_TOKEN in the environment.",
    ),
]
Instructions = Annotated[str, typer.Option(help="What the model is told besides its task.", metavar="TEXT")]
ContextTokens = Annotated[
    int | None,
    typer.Option(min=1_000, help="How long a conversation the model takes, in tokens."),
]
MaxSteps = Annotated[int, typer.Option(min=1, help="How often the model is asked for one prompt.")]
MaxTokens = Annotated[int | None, typer.Option(min=1, help="How many tokens one prompt may use.")]
MaxTime = Annotated[float | None, typer.Option(min=0.1, help="Seconds that one prompt may take.")]
Budget = Annotated[str | None, typer.Option(help="US dollars that one prompt may cost.", metavar="USD")]
ModelPrices = Annotated[
    str | None,
    typer.Option(
        help="What the model costs, where its provider does not tell: US dollars for a million tokens of prompts and "
        "of answers, such as 2.50/10.",
        metavar="IN/OUT",
    ),
]
AllowTool = Annotated[
    list[str] | None,
    typer.Option(help="Tools that the model may call, such as files_*; may be repeated."),
]
AskTool = Annotated[
    list[str] | None,
    typer.Option(help="Tools that somebody has to approve first; may be repeated."),
]
DenyTool = Annotated[
    list[str] | None,
    typer.Option(help="Tools that the model may not call; may be repeated."),
]
Transcripts = Annotated[
    Path | None,
    typer.Option(help="Directory in which the conversation of every prompt is kept."),
]


def agent_of(
    model: str | None, a2a: str | None, *, budget_usd: str | None, prices_usd: str | None, **settings: Any
) -> ModelAgent | A2AAgent | None:
    """The agent that the options describe; None where they name none.

    Raises:
        BadDeviceSetup: they can't be read, or don't go together.
    """
    agent = ModelAgent(
        model or "",
        budget_usd=None if budget_usd is None else _amount("--budget", budget_usd),
        prices_usd=None if prices_usd is None else _prices(prices_usd),
        **settings,
    )
    if model is None:
        usual = _pairs(options_of(ModelAgent("")))
        for option, value in _pairs(options_of(agent)):
            if (option, value) not in usual:
                raise BadDeviceSetup(f"{option} goes with --model, which is not given")
        return None if a2a is None else A2AAgent(a2a)
    if a2a is not None:
        raise BadDeviceSetup("--model and --a2a exclude each other: a device has one agent")
    return agent


def _pairs(options: Sequence[str]) -> list[tuple[str, str]]:
    return list(zip(options[::2], options[1::2], strict=True))


def options_of(agent: ModelAgent | A2AAgent | None) -> list[str]:
    """The options that describe an agent, for the command line of a device process."""
    if agent is None:
        return []
    if isinstance(agent, A2AAgent):
        return ["--a2a", agent.url]
    single: Sequence[tuple[str, object]] = (
        ("--model", agent.model),
        ("--instructions", agent.instructions or None),
        ("--context-tokens", agent.context_tokens),
        ("--max-steps", agent.max_steps),
        ("--max-tokens", agent.max_tokens),
        ("--max-time", agent.max_time_s),
        ("--budget", agent.budget_usd),
        ("--prices", "/".join(map(str, agent.prices_usd)) if agent.prices_usd is not None else None),
        ("--transcripts", agent.transcripts),
    )
    several = (("--allow-tool", agent.allow), ("--ask-tool", agent.ask), ("--deny-tool", agent.deny))
    options = [text for name, value in single if value is not None for text in (name, str(value))]
    return options + [text for name, values in several for value in values for text in (name, value)]


def _prices(text: str) -> tuple[Decimal, Decimal]:
    prompts, separator, answers = text.partition("/")
    if not separator:
        raise BadDeviceSetup(f"--prices {text} is no pair of prices: write IN/OUT, such as 2.50/10")
    return _amount("--prices", prompts), _amount("--prices", answers)


def _amount(option: str, text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(-1)
    if not (amount.is_finite() and amount >= 0):
        raise BadDeviceSetup(f"{option} {text} is no amount of money: give a number of US dollars")
    return amount
