"""A method: what it sees, how its parameters are chosen, how it is run and kept."""
