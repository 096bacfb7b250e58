"""The tool benchmark: how exact the schemas and calls of tool libraries are, and what they cost."""
