"""Other tools that carry out the same graph, one small module each; what a module imports is installed as an extra."""
