"""The bundled demo: a digit-spotting set made on the spot, and a small real detector caught out on it."""
