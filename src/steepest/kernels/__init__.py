"""Program + rows -> sums."""

SHARED = 1 << 23  # rows × operations from which on a pass is worth handing to threads
