"""Parts reach the destination, each event once; the only room that writes there or to the state."""
