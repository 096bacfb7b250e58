"""Chat Completions, as OpenAI defined it and others understand it: requests, answers, streams and errors. No I/O."""
