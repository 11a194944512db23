"""Who may do what, and how much: token, host and origin; connections, messages and bytes."""
