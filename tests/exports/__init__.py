"""Made-up companies in the layouts that other systems export, each with its truth, and the recipes that read them."""
