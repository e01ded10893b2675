"""What is measured, each a process of its own: bare loops, the agent, and parts of it."""
