use ttlog_core::record::Text;

use super::*;

fn render(message: &str, names: &[&str], values: Vec<FieldValue<'_>>) -> String {
    let values: Vec<_> = values.into_iter().map(Some).collect();
    let mut out = String::new();
    Template::parse(message, names).render(&values, &mut out);
    out
}

fn text(text: &str) -> Text<'_> {
    Text { text, full_len: None }
}

/// Checks that each spec formats the value as `format!` does.
macro_rules! like_std {
    ($rust:expr, $value:expr, $($spec:literal)*) => {$(
        assert_eq!(
            render(concat!("{x", $spec, "}"), &["x"], vec![$value]),
            format!(concat!("{", $spec, "}"), $rust),
            "{} of {:?}", $spec, $rust,
        );
    )*};
}

#[test]
fn unsigned_like_std() {
    for n in [0, 1, 7, 42, 1234, u64::MAX] {
        like_std!(n, FieldValue::Unsigned(n),
            "" ":5" ":<5" ":^7" ":>5" ":*^9" ":+" ":05" ":<05" ":+06" ":x" ":X" ":#x" ":#X" ":#010x" ":08b"
            ":#b" ":o" ":#o" ":e" ":E" ":.2e" ":12e" ":012e" ":?" ":5?" ":05?" ":x?"
            ":X?" ":#x?" ":#?" ":.3" ":+#012x" ":}>6");
    }
    like_std!(u128::MAX, FieldValue::U128(u128::MAX), "" ":x" ":#b" ":e" ":.3e" ":60" ":060");
}

#[test]
fn signed_like_std() {
    for n in [0, 1, -1, 127, -128, i64::MIN, i64::MAX] {
        like_std!(n, FieldValue::Signed { value: n, bits: 64 }, "" ":5" ":<5" ":+" ":05" ":x" ":#x" ":b" ":o"
            ":e" ":08e" ":?" ":x?" ":^+7");
    }
    like_std!(-1i8, FieldValue::Signed { value: -1, bits: 8 }, ":x" ":#b" ":o" ":X" ":#06x" ":+x");
    like_std!(-2i32, FieldValue::Signed { value: -2, bits: 32 }, ":x" ":#b" ":e" ":x?");
    like_std!(i128::MIN, FieldValue::I128(i128::MIN), "" ":x" ":e");
}

#[test]
fn floats_like_std() {
    for f in [
        0.0,
        -0.0,
        1.0,
        -1.5,
        0.1,
        123.456,
        1e21,
        1e-7,
        1e300,
        f64::MAX,
        f64::MIN_POSITIVE,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
    ] {
        like_std!(f, FieldValue::F64(f),
            "" ":.0" ":.1" ":.3" ":8.2" ":<8.2" ":^10.1" ":08.2" ":+" ":+08.1" ":e" ":E" ":.2e" ":12.2e"
            ":012.2E" ":?" ":.1?" ":9?" ":09" ":+?" ":#?" ":x?");
    }
    for f in [0.1f32, 16_777_216.0, -3.5e-10, f32::MAX] {
        like_std!(f, FieldValue::F32(f), "" ":?" ":.3" ":e" ":10.1");
    }
}

#[test]
fn text_like_std() {
    for s in ["", "a", "naïve 日本", "say \"hi\"\n"] {
        like_std!(s, FieldValue::Str(text(s)), "" ":5" ":>12" ":^12" ":-^12" ":.2" ":>6.2" ":05" ":?" ":8?"
            ":#?" ":x?");
    }
    for c in ['x', 'é', '\n', '\''] {
        like_std!(c, FieldValue::Char(c), "" ":3" ":>3" ":?" ":5?" ":.0");
    }
    for b in [true, false] {
        like_std!(b, FieldValue::Bool(b), "" ":7" ":>7" ":?" ":7?" ":.1");
    }
    like_std!((), FieldValue::Unit, ":?" ":5?");
}

#[test]
fn nested_like_std() {
    let some = || FieldValue::Some(Box::new(FieldValue::Unsigned(5)));
    like_std!(Some(5), some(), ":?" ":4?" ":#?" ":x?" ":04?");
    like_std!(None::<u8>, FieldValue::None, ":?" ":9?" ":#?");
    let list = || FieldValue::Sequence(vec![FieldValue::Unsigned(1), FieldValue::Unsigned(254)], None);
    like_std!([1u8, 254], list(), ":?" ":02x?" ":#?" ":4?" ":#x?" ":.1?");
    like_std!(b"\x01\xfe", FieldValue::Bytes(&[1, 254], None), ":?" ":02x?" ":#?");
    let deep = || FieldValue::Sequence(vec![FieldValue::Some(Box::new(list())), FieldValue::None], None);
    like_std!([Some([1u8, 254]), None], deep(), ":?" ":#?" ":3?");
    like_std!([0u8; 0], FieldValue::Sequence(vec![], None), ":?" ":#?");
}

#[test]
fn braces_and_text_around() {
    assert_eq!(render("{{{a}}} }}{{", &["a"], vec![FieldValue::Unsigned(1)]), "{1} }{");
    assert_eq!(render("a{b}c{a}d", &["a", "b"], vec![FieldValue::Unsigned(1), FieldValue::Unsigned(2)]), "a2c1d");
    assert_eq!(render("dotted {http.status:04}", &["http.status"], vec![FieldValue::Unsigned(5)]), "dotted 0005");
    assert_eq!(render("{ab}", &["a", "ab"], vec![FieldValue::Unsigned(1), FieldValue::Unsigned(2)]), "2");
    assert_eq!(render("{a :3}|", &["a"], vec![FieldValue::Unsigned(1)]), "  1|");
}

#[test]
fn unknown_placeholders_stay_text() {
    for message in ["{nobody}", "{", "}", "{}", "{a", "{a:", "{:?}", "x } y { z"] {
        assert_eq!(render(message, &["a"], vec![FieldValue::Unsigned(1)]), message);
    }
}

#[test]
fn spec_not_understood_shows_value_as_it_is() {
    for spec in [":q", ":5$", ":.*", ":99999999999999999999", ":1001", ":.1001", ":??", ":xx"] {
        assert_eq!(render(&format!("<{{a{spec}}}>"), &["a"], vec![FieldValue::Unsigned(7)]), "<7>", "{spec}");
    }
    assert_eq!(render("{a:x}", &["a"], vec![FieldValue::F64(1.5)]), "1.5");
    assert_eq!(render("{a:x}", &["a"], vec![FieldValue::Sequence(vec![FieldValue::Unsigned(255)], None)]), "[255]");
    assert_eq!(render("{a}", &["a"], vec![FieldValue::Bytes(&[255], None)]), "0xff");
}

#[test]
fn texts_of_the_program_are_not_formatted_again() {
    assert_eq!(render("{a:?}", &["a"], vec![FieldValue::Debug(text("Foo(\"x\")"))]), "Foo(\"x\")");
    assert_eq!(render("{a:>4}|", &["a"], vec![FieldValue::Display(text("ab"))]), "  ab|");
}

#[test]
fn error_shows_its_own_text_and_its_chain_on_debug() {
    let error = || FieldValue::Error(vec![text("outer"), text("inner")], None);
    assert_eq!(render("{e}", &["e"], vec![error()]), "outer");
    assert_eq!(render("{e:?}", &["e"], vec![error()]), "outer: inner");
}

#[test]
fn missing_and_capped_values_are_marked() {
    let mut out = String::new();
    Template::parse("a={a}", &["a"]).render(&[None], &mut out);
    assert_eq!(out, "a=�");
    assert_eq!(render("{a}", &["a"], vec![FieldValue::Str(Text { text: "ab", full_len: Some(9) })]), "ab…");
}

#[test]
fn used_fields_are_known() {
    let template = Template::parse("{b}", &["a", "b"]);
    assert!(!template.uses(0) && template.uses(1) && !template.uses(2));
    assert_eq!(template.constant(), None);
    assert_eq!(Template::parse("x {{", &[]).constant(), Some("x {"));
    assert_eq!(Template::parse("", &[]).constant(), Some(""));
}
