"""The questions people ask and the orders they give."""
