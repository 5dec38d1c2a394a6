"""Thin operators: read the context, call one function of `include`, log a sentence, return a small reference."""
