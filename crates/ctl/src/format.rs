//! Small texts, in and out: sizes, labels, ages, shortened references.

/// Hex digits of a digest that a table shows.
const SHORT_DIGEST: usize = 12;

/// A memory size in MiB: `256`, `256MiB`, `256M`, `1GiB` or `1G`.
pub(crate) fn parse_memory(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "" | "M" | "MiB" => 1,
        "G" | "GiB" => 1024,
        _ => return Err("write MiB or GiB, for example 256MiB".into()),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "write a whole number, for example 256MiB".to_owned())?;
    match number.checked_mul(factor) {
        Some(0) => Err("a guest needs memory".into()),
        Some(mib) => Ok(mib),
        None => Err("that is more memory than there is".into()),
    }
}

/// `KEY=VALUE`.
pub(crate) fn parse_label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err("write KEY=VALUE".into()),
    }
}

/// The age of something, in its largest unit.
pub(crate) fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Microseconds, readable.
pub(crate) fn duration(micros: u64) -> String {
    match micros {
        0..1000 => format!("{micros} us"),
        1000..10_000_000 => format!("{} ms", micros / 1000),
        _ => format!("{} s", micros / 1_000_000),
    }
}

/// A reference whose digest is cut, for tables.
pub(crate) fn short_reference(reference: &str) -> String {
    match reference.split_once("@sha256:") {
        Some((name, digest)) => match digest.get(..SHORT_DIGEST) {
            Some(short) => format!("{name}@{short}"),
            None => reference.to_owned(),
        },
        None => reference.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    //! Tables of what people type and read.

    use super::*;

    #[test]
    fn memory_sizes() {
        for (text, mib) in [
            ("256", Some(256)),
            ("256MiB", Some(256)),
            ("256M", Some(256)),
            ("2GiB", Some(2048)),
            ("2G", Some(2048)),
            ("0", None),
            ("", None),
            ("MiB", None),
            ("256MB", None),
            ("1.5GiB", None),
            ("-1", None),
            ("256 MiB", None),
            ("99999999999999999999", None),
            ("18446744073709551615G", None),
        ] {
            assert_eq!(parse_memory(text).ok(), mib, "{text:?}");
        }
    }

    #[test]
    fn labels() {
        let pair = |key: &str, value: &str| Ok((key.to_owned(), value.to_owned()));
        assert_eq!(parse_label("a=b=c"), pair("a", "b=c"));
        assert_eq!(parse_label("a="), pair("a", ""));
        assert!(parse_label("=b").is_err());
        assert!(parse_label("a").is_err());
    }

    #[test]
    fn readable_values() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (7200, "2h"),
            (172_800, "2d"),
        ] {
            assert_eq!(age(seconds), text);
        }
        for (micros, text) in [(999, "999 us"), (1500, "1 ms"), (12_000_000, "12 s")] {
            assert_eq!(duration(micros), text);
        }
        let pinned = format!("r.example/a:1@sha256:{}", "0123456789abcdef".repeat(4));
        assert_eq!(short_reference(&pinned), "r.example/a:1@0123456789ab");
        assert_eq!(short_reference("r.example/a:1"), "r.example/a:1");
        assert_eq!(short_reference("a@sha256:\u{e9}"), "a@sha256:\u{e9}");
    }
}
