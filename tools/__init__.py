"""Scripts for whoever works on this project; none is in the wheel."""
