"""Every verb that writes, killed at each call that changes a file, and run on a disk that fills up at each."""
