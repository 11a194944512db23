"""The hub's messages in and out as pure translation: no socket, no Redis. docs/protocol.md says what each one means."""
