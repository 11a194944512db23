"""The hub's WebSocket and REST: tables and frames (pure), and the sessions that serve them. See docs/protocol.md."""
