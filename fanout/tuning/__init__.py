"""What limited a run and what other settings would make of it: pure functions of a `Run`. `bounds` is the first."""
