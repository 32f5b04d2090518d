use syn::parse_str;

use super::*;

fn folded(source: &str) -> Option<Folded> {
    fold(&parse_str(source).unwrap()).unwrap_or_else(|error| panic!("{source}: {error}"))
}

fn refused(source: &str) -> String {
    fold(&parse_str(source).unwrap()).expect_err(source).to_string()
}

#[test]
fn texts_and_bools() {
    assert_eq!(folded(r#""a\n""#), Some(Folded::Str("a\n".to_owned())));
    assert_eq!(folded(r##"r#"a"b"#"##), Some(Folded::Str("a\"b".to_owned())));
    assert_eq!(folded("'é'"), Some(Folded::Char('é')));
    assert_eq!(folded("true"), Some(Folded::Bool(true)));
    assert_eq!(folded("b'a'"), Some(Folded::U64(97)));
}

#[test]
fn integers_without_suffix() {
    assert_eq!(folded("0"), Some(Folded::I64(0)));
    assert_eq!(folded("-1"), Some(Folded::I64(-1)));
    assert_eq!(folded("1_000"), Some(Folded::I64(1000)));
    assert_eq!(folded("0xff"), Some(Folded::I64(255)));
    assert_eq!(folded("(7)"), Some(Folded::I64(7)));
    assert_eq!(folded("9223372036854775807"), Some(Folded::I64(i64::MAX)));
    assert_eq!(folded("9223372036854775808"), Some(Folded::U64(1 << 63)));
    assert_eq!(folded("-9223372036854775808"), Some(Folded::I64(i64::MIN)));
    assert_eq!(folded("-9223372036854775809"), Some(Folded::I128(i128::from(i64::MIN) - 1)));
    assert_eq!(folded("18446744073709551616"), Some(Folded::I128(1 << 64)));
    assert_eq!(folded("170141183460469231731687303715884105728"), Some(Folded::U128(1 << 127)));
    assert_eq!(folded("-170141183460469231731687303715884105728"), Some(Folded::I128(i128::MIN)));
}

#[test]
fn integers_with_suffix() {
    assert_eq!(folded("5u8"), Some(Folded::U64(5)));
    assert_eq!(folded("5_usize"), Some(Folded::U64(5)));
    assert_eq!(folded("-128i8"), Some(Folded::I64(-128)));
    assert_eq!(folded("5isize"), Some(Folded::I64(5)));
    assert_eq!(folded("5u128"), Some(Folded::U128(5)));
    assert_eq!(folded("-5i128"), Some(Folded::I128(-5)));
}

#[test]
fn integers_out_of_range() {
    assert_eq!(refused("256u8"), "literal `256u8` is out of range for `u8`");
    assert_eq!(refused("-129i8"), "literal `-129i8` is out of range for `i8`");
    assert_eq!(refused("128i8"), "literal `128i8` is out of range for `i8`");
    assert_eq!(refused("18446744073709551616u64"), "literal `18446744073709551616u64` is out of range for `u64`");
    assert_eq!(refused("-1u32"), "`-1u32`: `u32` has no negative values");
    assert_eq!(refused("5q"), "unknown suffix `q` of an integer literal");
    assert!(refused("340282366920938463463374607431768211456").contains("out of range for `u128`"));
    assert!(refused("-170141183460469231731687303715884105729").contains("out of range for `i128`"));
}

#[test]
fn floats() {
    assert_eq!(folded("2.5"), Some(Folded::F64(2.5)));
    assert_eq!(folded("-1e3"), Some(Folded::F64(-1000.0)));
    assert_eq!(folded("1f64"), Some(Folded::F64(1.0)));
    assert_eq!(folded("0.1f32"), Some(Folded::F64(0.1)), "as written");
    assert_eq!(refused("1e400"), "literal `1e400` is out of range for `f64`");
    assert_eq!(refused("1e40f32"), "literal `1e40` is out of range for `f32`");
    assert_eq!(refused("1.0f16"), "unknown suffix `f16` of a float literal");
}

#[test]
fn left_to_run_time() {
    for source in ["x", "1 + 1", "b\"ab\"", "c\"ab\"", "--1", "!0", "-x", "concat!(\"a\")", "\"a\".len()", "[1]", "&1"]
    {
        assert_eq!(folded(source), None, "{source}");
    }
}

#[test]
fn written_for_the_callsite() {
    for (value, expected) in [
        (Folded::F64(-0.5), "F64 (- 0.5f64)"),
        (Folded::I64(-3), "I64 (- 3i64)"),
        (Folded::Str("a\"b".to_owned()), r#"Str ("a\"b")"#),
    ] {
        assert_eq!(value.to_token_stream().to_string().replace("-3", "- 3"), expected);
    }
}
