"""What the measurements say: rows of estimates, and the paper's claims tested on them."""
