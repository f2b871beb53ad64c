"""The live half: one session for replay, paper, ghost, shadow and live trading."""
