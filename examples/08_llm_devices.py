"""Prompts: stars that are carried out by a language model with the tools of its device.

Two device processes have a model each. One looks for the longest word of each text, with the tool that its device has;
the other one gets both answers, as data, and says which wins. The model here is a script behind a real HTTP server, so
that the example needs no key; with `--model openai/gpt-5`, or any other, it is a real one.

    python examples/08_llm_devices.py [--model MODEL]
"""

import sys
from contextlib import AsyncExitStack
from pathlib import Path

import anyio

from constellation import DeviceSpec, ModelAgent, Orchestrator, Prompt, TaskConstellation
from constellation.orchestrator.events import StarProgress
from constellation.testing.models import Called, ModelServer, Reply, SeenRequest
from constellation_tools import tool

TEXTS = {"north": "a lighthouse over grey water", "south": "an amphitheatre of oranges"}

ANSWER = {
    "type": "object",
    "properties": {"word": {"type": "string"}, "letters": {"type": "integer"}},
    "required": ["word", "letters"],
}


@tool(idempotent=True)
def letters(words: list[str]) -> dict[str, int]:
    """Count the letters of words."""
    return {word: len(word) for word in words}


def scripted(seen: SeenRequest) -> Reply:
    """What the model would say: it calls the tool, reads its result, and answers."""
    task = seen.messages[1]["content"]
    if "Which" in task:
        return Reply("amphitheatre")
    word = "lighthouse" if "lighthouse" in task else "amphitheatre"
    if seen.messages[-1]["role"] != "tool":
        return Reply(calls=(Called("letters", {"words": [word]}),))
    return Reply(calls=(Called("answer", {"word": word, "letters": len(word)}),))


def plan() -> TaskConstellation:
    """Two prompts side by side, and one that gets what they have found."""
    graph = TaskConstellation("longest word")
    found = [
        graph.star(
            f"read {place}",
            Prompt("Find the longest word. Count its letters with the tool.", output=ANSWER),
            arguments={"text": text},
            requires={"role": "reader"},
        )
        for place, text in TEXTS.items()
    ]
    graph.star(
        "judge",
        Prompt("Which of these words is the longest? Answer with the word alone."),
        words=[each.output["word"] for each in found],
        requires={"role": "judge"},
    )
    return graph


async def main(model: str | None) -> None:
    """Start the devices, submit the graph, and tell what the models do."""
    async with AsyncExitStack() as stack:
        if model is None:
            server = await stack.enter_async_context(ModelServer(rules=[scripted]))
            model = server.model
        agent = ModelAgent(model, max_steps=10)
        devices = [
            DeviceSpec("reader", labels={"role": "reader"}, slots=2, tools=[f"{Path(__file__)}:letters"], agent=agent),
            DeviceSpec("judge", labels={"role": "judge"}, agent=agent),
        ]
        orchestrator = await stack.enter_async_context(Orchestrator.local(devices, kind="process"))
        run = await orchestrator.submit(plan())
        async for event in run.events():
            if isinstance(event, StarProgress) and event.text is not None:
                print(f"{event.star} on {event.device}: {event.text}")
        print(f"the longest word is {(await run.result())['judge']}")


if __name__ == "__main__":
    anyio.run(main, sys.argv[sys.argv.index("--model") + 1] if "--model" in sys.argv else None)
