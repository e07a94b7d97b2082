"""Find the minimum of (x - 3)² by gradient descent, logging each step into the run that toolkit opened."""

import argparse

import toolkit

parser = argparse.ArgumentParser()
parser.add_argument("--rate", type=float, required=True)
parser.add_argument("--steps", type=int, required=True)
options = parser.parse_args()

x = 0.0
for step in range(options.steps):
    x -= options.rate * 2 * (x - 3)
    toolkit.log_metric("loss", (x - 3) ** 2, step=step)
toolkit.log_text(f"the minimum is near x = {x:.6f}\n", "result.txt")
print(f"x = {x:.6f} after {options.steps} steps")
