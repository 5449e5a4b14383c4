"""RapidOCR: the networks of PP-OCR on ONNX Runtime."""
