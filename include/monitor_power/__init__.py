"""What monitoring finds on a model's own history: drift that is caught, false alarms, damage that is named."""
