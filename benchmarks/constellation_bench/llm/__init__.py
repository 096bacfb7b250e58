"""What the layer over language models costs: CPU time per call beside the bare libraries, against one local server."""
