//! Numbers and sizes in human-readable form.

/// Returns a number with the noun that it counts: `1 event`, `2 events`.
#[must_use]
pub fn counted(number: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// Returns a size in human-readable form.
#[must_use]
pub fn bytes(len: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if len < 1024 {
        return format!("{len} bytes");
    }
    let mut size = len as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1023.95 && unit + 1 < units.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", units[unit])
}

/// Returns a number with its thousands separated.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (len, expected) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (16 << 20, "16.0 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(bytes(len), expected);
        }
    }

    #[test]
    fn thousands() {
        assert_eq!(
            [0, 999, 1000, 1_234_567, u64::MAX].map(grouped),
            ["0", "999", "1,000", "1,234,567", "18,446,744,073,709,551,615"]
        );
    }
}
