"""Perennial's records: MLflow tracking, the bundle store, and the ledger of releases."""
