"""Several segmentation networks on the same test scenes."""
