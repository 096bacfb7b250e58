"""What a model server is told of the workflow behind a request: one hint, and a dialect per kind of server."""
