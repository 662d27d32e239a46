"""Program + rows -> sums."""
