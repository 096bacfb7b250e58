"""Whether a star costs the same in a large graph as in a small one, and what memory it takes once it has ended."""
