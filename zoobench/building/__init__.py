"""Building a zoo: many runs, chunk by chunk, on this machine or on Ray."""
