"""What Perennial remembers: MLflow tracking, the bundle store, and the ledger of what serves."""
