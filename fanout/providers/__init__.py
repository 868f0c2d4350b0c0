"""The only rooms that know pydantic-ai: the loop thread, the models, the transport, errors mapped once."""
