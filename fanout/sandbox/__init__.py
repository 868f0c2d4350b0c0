"""A provider of our own on loopback, OpenAI-compatible, with latency, quota and faults: no key needed."""
