"""What makes a dataset folder sound: one room for each kind of thing that its manifest and its files state."""
