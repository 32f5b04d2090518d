use std::format;
use std::string::ToString as _;

use super::*;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn headers_of_the_specification() {
    let sampled = Traceparent::parse(VALID).unwrap();
    assert_eq!(sampled.trace_id().to_string(), TRACE);
    assert_eq!((sampled.span_id(), sampled.flags()), (0x00f0_67aa_0ba9_02b7, Traceparent::SAMPLED));
    let unsampled = Traceparent::parse(&VALID.replace("-01", "-00")).unwrap();
    assert_eq!(unsampled.flags(), 0);
    for header in [sampled, unsampled] {
        assert_eq!(header.to_string().parse(), Ok(header));
    }
    assert_eq!(sampled.to_string(), VALID);
}

#[test]
fn flags_of_later_versions_are_not_passed_on() {
    let parse = |flags: &str| Traceparent::parse(&VALID.replace("-01", flags)).unwrap().to_string();
    assert_eq!(parse("-02"), VALID.replace("-01", "-02"));
    assert_eq!(parse("-ff"), VALID.replace("-01", "-03"));
    assert_eq!(parse("-f8"), VALID.replace("-01", "-00"));
}

#[test]
fn later_versions_are_read_as_far_as_they_are_known() {
    for version in ["01", "cc", "fe"] {
        let header = VALID.replacen("00", version, 1);
        for (header, is_valid) in [
            (header.clone(), true),
            (format!("{header}-what-the-future-brings"), true),
            (format!("{header}-"), true),
            (format!("{header}.what"), false),
            (format!("{header}0"), false),
        ] {
            assert_eq!(Traceparent::parse(&header).is_ok(), is_valid, "{header}");
        }
        // Always sent as the version that we know.
        assert_eq!(Traceparent::parse(&header).unwrap().to_string(), VALID);
    }
}

#[test]
fn invalid_headers() {
    for header in [
        "",
        "00",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00F067AA0BA902B7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
        "0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
        " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902bé-01",
    ] {
        assert_eq!(Traceparent::parse(header), Err(TraceparentError), "{header}");
    }
}

#[test]
fn single_changed_bytes_never_pass_for_another_version() {
    for at in 0..VALID.len() {
        for byte in 0..=127_u8 {
            let mut header = VALID.as_bytes().to_vec();
            header[at] = byte;
            let text = std::str::from_utf8(&header).unwrap();
            if let Ok(read) = Traceparent::parse(text) {
                assert!(byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte) || [2, 35, 52].contains(&at));
                assert!(read.span_id() != 0 && read.trace_id().to_u128() != 0);
            }
        }
    }
}

#[test]
fn zeros_are_no_ids() {
    assert_eq!(TraceId::new(0), None);
    assert_eq!(Traceparent::new(TraceId::new(1).unwrap(), 0, 1), None);
}
