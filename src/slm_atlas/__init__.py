"""SLM Atlas: small language models, how they are built, what they can do and what they cost on your own device."""

__version__ = "0.1.0"
