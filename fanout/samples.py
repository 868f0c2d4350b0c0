"""The list that is ready to run when the page is first opened: short facts, sums, classifications and a few long ones.

Comes in: nothing. Goes out: `SAMPLE_PROMPTS`, one line each. Of our own writing; nothing in them is about anybody.
Their answers differ in length on purpose, so that the calls overlap as real ones do.
"""

from __future__ import annotations

SAMPLE_PROMPTS = (
    "Reply: alpha",
    "What is the capital of Iceland?",
    "Classify the sentiment as positive, negative or neutral: The battery lasts two days, and the screen is a delight.",
    "What is 17 * 24?",
    "Explain to a new colleague why the sky is blue at noon and red in the evening.",
    "Classify the sentiment as positive, negative or neutral: The zip broke on the second walk, and nobody answers "
    "the phone.",
    "What is the chemical symbol for gold?",
    "Sort this ticket into one of: billing, delivery, account, other. A question on billing: I was charged twice.",
    "Reply: beta",
    "How many days are there in a leap year?",
    "Is this message spam or not spam? You have won a boat! Click here within ten minutes.",
    "Write a poem of about 80 words on a lighthouse whose keeper retires.",
    "What is 15% of 260?",
    "Classify the sentiment as positive, negative or neutral: The parcel came on Tuesday in a brown box.",
    "What is the capital of New Zealand?",
    "Classify the sentiment as positive, negative or neutral: The staff were friendly and the room was lovely.",
    "Describe in 60 words how bread rises.",
    "Sort this ticket into one of: billing, delivery, account, other. My account asks for a code that never comes.",
    "Which planet is closest to the sun?",
    "Reply: gamma",
    "Is this message spam or not spam? The minutes of Thursday's meeting are in the shared folder.",
    "What is the square root of 1764?",
    "Explain step by step how a letter gets from a village in Portugal to one in Japan.",
    "Is this message spam or not spam? Lunch is at one, and Ines brings the salad.",
    "At what temperature does water boil at sea level, in degrees Celsius?",
    "Classify the sentiment as positive, negative or neutral: The meeting room is on the third floor.",
    "What is the capital of Kenya?",
    "Sort this ticket into one of: billing, delivery, account, other. The delivery was left in the rain.",
    "Summarise in one sentence what a thread pool does.",
    "What is 1024 / 16?",
    "Classify the sentiment as positive, negative or neutral: The soup was cold, the waiter was kind, and the bill was "
    "wrong.",
    "Compare a bicycle and a tram for a short way to work: pros and cons of each.",
    "What is 7 * 8 + 6?",
    "Reply: 你好, שלום, olá",
    "How many sides does a hexagon have?",
    "Is this message spam or not spam? Last chance to claim your free cruise, reply with your card number.",
    "Draft a short, friendly e-mail that moves a meeting from Monday to Wednesday.",
    "What is the capital of Uruguay?",
    "Translate into French in one line: Good morning, two coffees, please.",
    "Explain why forty calls side by side take about as long as the slowest of them, and not as long as their sum.",
)
"""Forty prompts, none twice."""
