"""What did not happen: nights without a decision, days that did not arrive, failed runs, full disks."""
