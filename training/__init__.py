"""Makes models: split, fine-tune, calibrate, evaluate, register."""
