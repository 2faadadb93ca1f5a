"""What a plan claims, recomputed without the program it was solved as."""
