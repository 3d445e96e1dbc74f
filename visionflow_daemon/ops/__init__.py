"""What a running daemon shows of itself: health, metrics, and a page to look at."""
