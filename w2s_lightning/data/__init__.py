"""Examples to batches: encoding, the batch plan of a whole fit, and the one LightningDataModule."""
