//! Quantities as people read them, in few columns.

/// Milliseconds; a dash for none.
#[must_use]
pub fn duration(millis: Option<u64>) -> String {
    match millis {
        None => "-".to_owned(),
        Some(millis) if millis < 1000 => format!("{millis}ms"),
        Some(millis) if millis < 60_000 => format!("{}.{}s", millis / 1000, millis % 1000 / 100),
        Some(millis) if millis < 3_600_000 => {
            format!("{}m{:02}s", millis / 60_000, millis % 60_000 / 1000)
        }
        Some(millis) => format!("{}h{:02}m", millis / 3_600_000, millis % 3_600_000 / 60_000),
    }
}

#[must_use]
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count}B");
    }
    let mut tenths = count.saturating_mul(10) / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{}{}", tenths / 10, tenths % 10, UNITS.get(unit).unwrap_or(&""))
}

/// With one digit behind the point.
#[must_use]
pub fn decimal(number: f64) -> String {
    format!("{number:.1}")
}

/// A part of one, as a percentage.
#[must_use]
pub fn percent(part: f64) -> String {
    format!("{:.0}%", part * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_the_unit_that_fits() {
        let told = [None, Some(999), Some(1250), Some(61_000), Some(7_260_000)].map(duration);
        assert_eq!(told, ["-", "999ms", "1.2s", "1m01s", "2h01m"]);
    }

    #[test]
    fn bytes_have_the_unit_that_fits() {
        let told = [0, 1023, 1024, 1_572_864, u64::MAX].map(bytes);
        assert_eq!(told, ["0B", "1023B", "1.0KiB", "1.5MiB", "1677721.5TiB"]);
    }
}
