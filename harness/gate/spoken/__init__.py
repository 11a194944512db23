"""What a hub or a stack is asked of which the gate knows a protocol alone: no key, no process, no figure of ours."""
