"""The release gate: phases that gather evidence, criteria that judge it, one verdict."""
