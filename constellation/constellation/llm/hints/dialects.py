"""The dialects: what each kind of server is told, and in which words.

Priority is higher-is-sooner in a hint. vLLM has it the other way round, as SGLang has when it is started with
`--schedule-low-priority-values-first`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..errors import ModelMisconfigured
from .fields import Dialect, Field, body, header, marks
from .hint import WorkflowHint

FIVE_MINUTES_S = 300.0
HOUR_S = 3_600.0

_LONGEST_CACHE_KEY = 64


@dataclass(frozen=True, slots=True)
class Silent:
    """For a server that is told nothing."""

    name: str = "none"

    def fields(self, hint: WorkflowHint) -> tuple[Field, ...]:
        """Nothing."""
        return ()


@dataclass(frozen=True, slots=True)
class Plain:
    """For a server that nothing is known of: headers by which a router may keep a session together."""

    name: str = "plain"

    def fields(self, hint: WorkflowHint) -> tuple[Field, ...]:
        """The session and where it came from."""
        found = [header("x-session-id", hint.session)]
        if hint.parent_session is not None:
            found.append(header("x-parent-session-id", hint.parent_session))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class VLLM:
    """Stock vLLM: the session, and a priority, which is refused without `--scheduling-policy priority`."""

    name: str = "vllm"

    def fields(self, hint: WorkflowHint) -> tuple[Field, ...]:
        """The session and, where it is not the usual one, the priority."""
        found = [body("session_id", value=hint.session)]
        if hint.priority:
            found.append(body("priority", value=-hint.priority))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Continuum:
    """vLLM with Continuum's scheduling, which keeps a session's cache while a tool runs.

    Attributes:
        plugin: Whether it is a scheduler plug-in, which reads `vllm_xargs`, or the fork, which has fields of its own.
    """

    plugin: bool = False

    @property
    def name(self) -> str:
        """What it is chosen by."""
        return "continuum-plugin" if self.plugin else "continuum"

    def fields(self, hint: WorkflowHint) -> tuple[Field, ...]:
        """The program, the tools before and after this step, and whether it is the last."""
        above = ("vllm_xargs",) if self.plugin else ()
        found = [body(*above, "job_id", value=hint.session), body(*above, "is_last_step", value=hint.last_step)]
        if hint.last_tool is not None:
            found.append(body(*above, "last_func_call", value=hint.last_tool))
        if hint.next_tool is not None:
            found.append(body(*above, "this_func_call", value=hint.next_tool))
        if self.plugin and hint.keep_s is not None:
            found.append(body(*above, "kv_ttl_s", value=hint.keep_s))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class SGLang:
    """SGLang and its router.

    Attributes:
        low_first: Whether the server was started with `--schedule-low-priority-values-first`.
    """

    low_first: bool = False
    name: str = "sglang"

    def fields(self, hint: WorkflowHint) -> tuple[Field, ...]:
        """The session, for the router and for the server, and the priority."""
        found = [header("x-smg-routing-key", hint.session), body("session_id", value=hint.session)]
        if hint.priority:
            found.append(body("priority", value=-hint.priority if self.low_first else hint.priority))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Dynamo:
    """NVIDIA Dynamo, which refuses every field that it does not know."""

    name: str = "dynamo"

    def fields(self, hint: WorkflowHint) -> tuple[Field, ...]:
        """The session in headers; importance and length under `nvext.agent_hints`."""
        found = [header("x-dynamo-session-id", hint.session)]
        if hint.parent_session is not None:
            found.append(header("x-dynamo-parent-session-id", hint.parent_session))
        if hint.last_step:
            found.append(header("x-dynamo-session-final", "true"))
        if hint.priority:
            found.append(body("nvext", "agent_hints", "priority", value=hint.priority))
        if hint.output_tokens is not None:
            found.append(body("nvext", "agent_hints", "osl", value=hint.output_tokens))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class LLMD:
    """llm-d behind a Kubernetes gateway.

    Attributes:
        objectives: The cluster's inference objectives by the least priority that they are for; none by default,
            because their names are the cluster's own.
    """

    objectives: tuple[tuple[int, str], ...] = ()
    name: str = "llm-d"

    def fields(self, hint: WorkflowHint) -> tuple[Field, ...]:
        """The session, on whose behalf, and the objective."""
        found = [header("x-session-id", hint.session), header("x-session-affinity", hint.session)]
        if hint.parent_session is not None:
            found.append(header("x-parent-session-id", hint.parent_session))
        found.append(header("x-llm-d-inference-fairness-id", hint.tenant or hint.workflow))
        fitting = [(least, objective) for least, objective in self.objectives if hint.priority >= least]
        if fitting:
            found.append(header("x-llm-d-inference-objective", max(fitting)[1]))
        return tuple(found)


def _bucket(hint: WorkflowHint) -> str | None:
    """The lifetime to ask for where there are two: None for the shorter, which is the default and is renewed by use."""
    keep_s = hint.keep_s
    return "1h" if keep_s is not None and keep_s > FIVE_MINUTES_S else None


@dataclass(frozen=True, slots=True)
class Anthropic:
    """Anthropic: marks up to which it caches, for five minutes or an hour."""

    name: str = "anthropic"

    def fields(self, hint: WorkflowHint) -> tuple[Field, ...]:
        """The marks. The last step has them too: without marks nothing is read from the cache either."""
        ttl = _bucket(hint)
        return (marks("cache_control", {"type": "ephemeral", **({"ttl": ttl} if ttl else {})}),)


@dataclass(frozen=True, slots=True)
class Bedrock:
    """Amazon Bedrock: cache points, which litellm makes of the same marks as Anthropic's.

    Attributes:
        tiers: Whether a priority chooses the service tier, which has a price of its own.
    """

    tiers: bool = False
    name: str = "bedrock"

    def fields(self, hint: WorkflowHint) -> tuple[Field, ...]:
        """The marks, and the service tier where that is wanted."""
        ttl = _bucket(hint)
        found = [marks("cache_control", {"type": "ephemeral", **({"ttl": ttl} if ttl else {})})]
        return (*found, *_tier(hint, tiers=self.tiers))


@dataclass(frozen=True, slots=True)
class Gemini:
    """Gemini: cached contents with a lifetime in seconds, which litellm makes of marks."""

    name: str = "gemini"

    def fields(self, hint: WorkflowHint) -> tuple[Field, ...]:
        """Marks with the lifetime, where it is known and worth storing anything."""
        keep_s = hint.keep_s
        if not keep_s:
            return ()
        return (marks("cache_control", {"type": "ephemeral", "ttl": f"{max(round(keep_s), 1)}s"}),)


@dataclass(frozen=True, slots=True)
class OpenAI:
    """OpenAI: a key that brings requests with one prefix to one cache, and a longer lifetime where it is worth it.

    Attributes:
        tiers: Whether a priority chooses the service tier, which has a price of its own.
        options: Whether the model takes `prompt_cache_options`; older ones refuse them, which is then remembered.
    """

    tiers: bool = False
    options: bool = True
    name: str = "openai"

    def fields(self, hint: WorkflowHint) -> tuple[Field, ...]:
        """The cache's key, its lifetime and, where that is wanted, the service tier."""
        found = [body("prompt_cache_key", value=hint.session[:_LONGEST_CACHE_KEY])]
        keep_s = hint.keep_s
        if self.options and keep_s is not None and FIVE_MINUTES_S < keep_s <= HOUR_S:
            found.append(body("prompt_cache_options", value={"ttl": "30m"}))
        return (*found, *_tier(hint, tiers=self.tiers))


def _tier(hint: WorkflowHint, *, tiers: bool) -> tuple[Field, ...]:
    if not tiers or not hint.priority:
        return ()
    return (body("service_tier", value="priority" if hint.priority > 0 else "flex"),)


_DIALECTS: Mapping[str, Callable[[], Dialect]] = {
    "none": Silent,
    "plain": Plain,
    "vllm": VLLM,
    "continuum": Continuum,
    "continuum-plugin": lambda: Continuum(plugin=True),
    "sglang": SGLang,
    "dynamo": Dynamo,
    "llm-d": LLMD,
    "anthropic": Anthropic,
    "bedrock": Bedrock,
    "gemini": Gemini,
    "openai": OpenAI,
}

DIALECT_NAMES = tuple(_DIALECTS)
"""What `dialect_named` knows."""


def dialect_named(name: str) -> Dialect:
    """The dialect of this name.

    Raises:
        ModelMisconfigured: there is none.
    """
    try:
        return _DIALECTS[name]()
    except KeyError:
        raise ModelMisconfigured(f"there is no dialect {name!r}; there are {', '.join(_DIALECTS)}") from None
