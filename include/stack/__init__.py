"""The embedded stack: everything that `make run` starts on one machine, and how it is started and stopped."""
