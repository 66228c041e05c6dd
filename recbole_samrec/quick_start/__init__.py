"""One run, from its configuration to its result, and its later uses."""
