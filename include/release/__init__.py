"""How a version is put into service and taken out of it: smoke test, promotion, verification, rollback."""
