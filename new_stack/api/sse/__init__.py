"""Server-sent events: frames, cursors, and the streams that join history with what happens now."""
