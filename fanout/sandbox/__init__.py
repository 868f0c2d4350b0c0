"""A provider of our own on loopback, OpenAI-compatible, with latency, quota and faults: no key needed.

    asked -> answers, draws, account -> provider -> wire

`server` has the routes, `serve` the socket, `process` the child process that the app starts. All answers are simulated.
"""

NAME = "fanout-sandbox"
"""What the server calls itself at /health."""
VERSION = "1"
"""Of what it speaks; raised when a client of the old one would misread the new one."""
