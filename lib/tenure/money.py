"""Minor units of currencies, which all rooms must agree on."""

from __future__ import annotations

# ISO 4217 (list one of the maintenance agency): currencies whose minor unit is not a hundredth. CLDR's own
# digits are for display and differ (the Serbian dinar shows none, yet is counted in hundredths).
EXPONENTS: dict[str, int] = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI"), 0),
    **dict.fromkeys(("VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}


def minor_exponent(currency: str) -> int:
    """Return how many decimals ISO 4217 gives the currency's minor unit.

    Example:
        >>> minor_exponent("EUR"), minor_exponent("JPY"), minor_exponent("KWD")
        (2, 0, 3)
    """
    return EXPONENTS.get(currency, 2)
