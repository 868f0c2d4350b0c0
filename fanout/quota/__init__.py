"""Quota: how much may be sent when, decided by pure arithmetic on instants that are given.

Comes in: what is known of an account's limits, what a call is expected to use, what it did use, what a provider's
headers said. Goes out: now, or the instant at which to ask again and the name of the limit that causes the wait.
Nothing here waits, sends, reads a clock or holds a lock.

    account  whose quota it is
    limits   what an account allows              presets   what each provider's documents say
    report   what one response said              bucket    one limit, in exact integers
    meters   an account's limits as they are known, and what responses teach of them
    gate     all limits of one account, booked together, and whose turn it is
    gates    every account of the process
    estimate what a call will use                learning  a rate nobody told us
    turns    one run's place at its gate         refusals a 429 in words
    ceiling  what the schedule asks              view      all of it as a value, for showing
"""
