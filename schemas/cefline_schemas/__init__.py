"""Tables of facts about timelines and CEF; no code that touches data."""
