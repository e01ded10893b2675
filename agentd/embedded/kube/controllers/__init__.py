"""What acts on objects by itself: the controllers of a cluster."""
