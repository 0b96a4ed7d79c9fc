"""The bundled demo: images of digits, made on the spot, and the mistakes of a small real detector on them."""
