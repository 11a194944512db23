"""Server-sent events: the streams of one job and of all, from any point of their history on, live to the end."""
