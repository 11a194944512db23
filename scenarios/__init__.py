"""The scenarios of the plan as pytest suites, the recorded cassettes and the declared differences."""
