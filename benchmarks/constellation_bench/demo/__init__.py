"""The demo: four device processes audit the Python standard library, and a planner edits the graph meanwhile."""
