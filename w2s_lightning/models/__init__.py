"""Networks: loading (hub, local folder, embedded ladder), read-outs, LoRA, saving."""
