"""Our own cases, one small module each."""
