"""Tool libraries, one module each, imported where they are measured."""
