"""What operators and their tools ask: health, metrics, figures, the description of the API."""
