"""From bytes on a wire to verified records."""
