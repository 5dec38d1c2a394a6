"""What is watched about a model in service: drift, counters, performance, staleness, and the policy that follows."""
