"""The gateway: OpenAI-compatible, streaming, follows the plan. One thread, raw transports."""
