"""Moving over: who still uses the hub's protocols, who is told that they go, and the switch that ends them."""
