"""Commands: one module a step, thin: parse, call the library, print a summary, exit non-zero on failure."""
