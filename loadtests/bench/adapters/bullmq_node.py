"""BullMQ where it is at home, in Node: the roles are in `bullmq_node.cjs`; this says how many processes they get."""

SHAPE = "4 processes of 10"
PROCESSES = 4
