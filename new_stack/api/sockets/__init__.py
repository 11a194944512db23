"""The legacy WebSocket: the shell that moves messages between sockets, the queue and the pure translation."""
