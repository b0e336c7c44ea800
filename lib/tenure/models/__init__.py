"""Statistics on small tables of counts: pandas in, a frozen result out."""
