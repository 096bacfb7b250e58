"""Placeholder docstring, replaced by the package that lives here."""
