"""The kernel: statistics on small tables of counts and moments. It knows no business."""
