"""Training procedures, one LightningModule each, and the protocols of what they ask of networks, losses and data."""
