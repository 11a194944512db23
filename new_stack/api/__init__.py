"""The API server: HTTP, server-sent events, and the legacy WebSocket, all over the queue in Redis."""
