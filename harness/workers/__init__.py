"""What the harness's own workers do: they play the script of each job and write down what they really ran.

Nothing is imported here, so that a worker process of the stack loads the journal and the script and no more.
"""
