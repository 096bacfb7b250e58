"""Errors of the models' room.

LLMError
├── ModelMisconfigured       the model string, a key or a package is wrong or missing: yours to mend
├── InvalidRequest           the request can't be put to this model; nothing was sent
├── InvalidToolArguments     a model's arguments for a tool are no JSON object: the model's to mend
├── InvalidOutput            a model's answer is not of the type that was asked for: the model's to mend
├── CassetteError            a recording can't be read, or does not have what is asked of it
└── ProviderError            what came back from the provider, or did not
    ├── RequestRefused       it says that the request is wrong (400, 404, 422)
    │   └── ContextOverflow  the conversation is longer than the model can take
    ├── AccessDenied         the key is missing, wrong or not allowed this (401, 403)
    ├── QuotaExhausted       the account has nothing left: waiting does not help
    ├── RateLimited          too many requests or tokens for now (429)
    ├── ServerFault          the provider failed or is overloaded (408, 409, 5xx)
    ├── ConnectionLost       the connection could not be made, or broke
    ├── ModelTimeout         nothing came for too long
    └── MalformedResponse    what came can't be understood
"""

from __future__ import annotations

from .usage import Usage


class LLMError(Exception):
    """Base of all errors of this package."""


class ModelMisconfigured(LLMError, ValueError):
    """Raised when a model can't be opened as it is described; the message says what to change."""


class InvalidRequest(LLMError, ValueError):
    """Raised when a request holds what this model can't be given; nothing was sent."""


class InvalidToolArguments(LLMError, ValueError):
    """Raised when a model's arguments for a tool are no JSON object; the message is fit to be sent back to it.

    Attributes:
        tool: The tool that it wanted to call.
        call: The id of that call.
    """

    def __init__(self, problem: str, *, tool: str, call: str) -> None:
        super().__init__(problem)
        self.tool = tool
        self.call = call


class InvalidOutput(LLMError, ValueError):
    """Raised when a model's answer is not of the type that was asked for; the message is fit to be sent back to it.

    Attributes:
        text: What it answered.
        usage: What that has used all the same; None where nothing was asked of a provider.
    """

    def __init__(self, problem: str, *, text: str, usage: Usage | None = None) -> None:
        super().__init__(problem)
        self.text = text
        self.usage = usage


class CassetteError(LLMError):
    """Raised when a recording can't be read, or does not have what is asked of it next."""


class ProviderError(LLMError):
    """Raised when a provider does not answer as it should.

    Attributes:
        provider: Who: the provider's name.
        status: The HTTP status; None where there was none.
        code: The provider's own code, such as `insufficient_quota`; empty where it gave none.
        retry_after_s: How long it asks to wait, in seconds; None where it does not say.
    """

    retryable = False
    """Whether the same request may succeed later."""

    def __init__(
        self,
        problem: str,
        *,
        provider: str = "",
        status: int | None = None,
        code: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(problem)
        self.provider = provider
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        status = f" answered {self.status}" if self.status is not None else ""
        return f"{self.provider}{status}: {self.args[0]}" if self.provider else str(self.args[0])


class RequestRefused(ProviderError):
    """Raised when the provider says that the request is wrong, or that there is no such model."""


class ContextOverflow(RequestRefused):
    """Raised when the conversation is longer than the model can take: make it shorter."""


class AccessDenied(ProviderError):
    """Raised when the key is missing or wrong, or is not allowed what was asked."""


class QuotaExhausted(ProviderError):
    """Raised when the account has nothing left to spend."""


class RateLimited(ProviderError):
    """Raised when there were too many requests or tokens, and retrying has not helped."""

    retryable = True


class ServerFault(ProviderError):
    """Raised when the provider fails or is overloaded, and retrying has not helped."""

    retryable = True


class ConnectionLost(ProviderError):
    """Raised when the connection could not be made, or broke before the answer was whole."""

    retryable = True


class ModelTimeout(ProviderError):
    """Raised when nothing came for too long."""

    retryable = True


class MalformedResponse(ProviderError):
    """Raised when what the provider sent can't be understood."""
