"""Running networks over many rows without training them."""
