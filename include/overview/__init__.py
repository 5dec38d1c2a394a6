"""How every model is, on one page: its last nights, what serves, its data, its live figures, and what to do."""
