"""One pass: plan, apply, finish."""
