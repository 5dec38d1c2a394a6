"""How a version goes into service and comes out of it: smoke test, promotion, verification, rollback."""
