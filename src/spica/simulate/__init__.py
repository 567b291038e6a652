"""A sky with known truth, seen through any camera table."""
