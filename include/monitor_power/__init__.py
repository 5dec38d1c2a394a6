"""What monitoring is worth on a model's own history: drift that it finds, alarms that are false, damage that it names."""
