"""How much a plan is worth: many settings, many ways of choosing a fleet, all of them planned and played."""
