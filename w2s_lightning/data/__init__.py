"""Examples to batches: encoded rows with named columns, the batch plan of a whole fit, the one LightningDataModule."""
