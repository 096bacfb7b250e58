"""A toolset served as an MCP server: over standard input and output, or over streamable HTTP."""

from .http import BadListening, Listening, serve_http
from .limits import ServingLimits
from .stdio import serve_stdio

__all__ = ["BadListening", "Listening", "ServingLimits", "serve_http", "serve_stdio"]
