"""What hangs below an object: its scale, its log, its eviction, tokens for it."""
