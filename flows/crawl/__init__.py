"""Where ads come from: a source yields ads with their comments, and drops for what is none."""
