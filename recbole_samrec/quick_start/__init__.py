"""One run, from its configuration to its result, and what can be done with it."""
