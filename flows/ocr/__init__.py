"""Text of frames: the OCR engines, and the rules that define a word."""
