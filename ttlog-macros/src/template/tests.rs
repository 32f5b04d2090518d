use super::*;

fn placeholders(text: &str) -> Vec<(Reference, String, bool)> {
    let template = Template::parse(text).unwrap_or_else(|error| panic!("{text}: {}", error.text));
    template
        .pieces
        .into_iter()
        .filter_map(|piece| match piece {
            Piece::Placeholder(placeholder) => Some((placeholder.reference, placeholder.spec, placeholder.is_debug)),
            Piece::Text(_) => None,
        })
        .collect()
}

fn name(text: &str) -> Reference {
    Reference::Name(text.to_owned())
}

/// The quoted part of the template and the text of the error.
fn refused(text: &str) -> (&str, String) {
    let error = Template::parse(text).expect_err(text);
    (&text[error.range], error.text)
}

#[test]
fn text_without_placeholders() {
    assert_eq!(Template::parse("").unwrap().pieces, []);
    assert_eq!(Template::parse("plain").unwrap().pieces, [Piece::Text("plain".to_owned())]);
}

#[test]
fn doubled_braces_stay_doubled() {
    assert_eq!(Template::parse("{{x}} {{").unwrap().pieces, [Piece::Text("{{x}} {{".to_owned())]);
    assert_eq!(Template::parse("{{{x}}}").unwrap().with_names(["x"]), "{{{x}}}");
}

#[test]
fn references() {
    assert_eq!(
        placeholders("{} {0} {12} {x} {_y} {type} {a.b.0.c} { spaced } {größe}")
            .into_iter()
            .map(|p| p.0)
            .collect::<Vec<_>>(),
        [
            Reference::Next,
            Reference::Index(0),
            Reference::Index(12),
            name("x"),
            name("_y"),
            name("type"),
            name("a.b.0.c"),
            name("spaced"),
            name("größe"),
        ]
    );
}

#[test]
fn every_spec_part() {
    for spec in [
        "",
        "<",
        "^5",
        "*>8",
        "+",
        "-",
        "#",
        "0",
        "08",
        "8",
        ".3",
        "8.3",
        "?",
        "x?",
        "X?",
        "x",
        "X",
        "o",
        "b",
        "e",
        "E",
        "#?",
        "#010x",
        "é^+#012.5e",
        ":>4",
        "0.0",
        "65535",
        ".65535",
        ">>5",
    ] {
        let text = if spec.is_empty() { "{x}".to_owned() } else { format!("{{x:{spec}}}") };
        assert_eq!(placeholders(&text), [(name("x"), spec.to_owned(), spec.ends_with('?'))], "{text}");
    }
    assert_eq!(placeholders("{x:}"), [(name("x"), String::new(), false)]);
    assert_eq!(
        placeholders("{:.1} {:?}"),
        [(Reference::Next, ".1".to_owned(), false), (Reference::Next, "?".to_owned(), true)]
    );
}

#[test]
fn rewritten_with_names() {
    let template = Template::parse("a {} {{b}} {0:>5} {x:.1}!").unwrap();
    assert_eq!(template.with_names(["one", "one", "x"]), "a {one} {{b}} {one:>5} {x:.1}!");
}

#[test]
fn ranges_are_bytes_of_the_text() {
    let template = Template::parse("é {a} {bc:?}").unwrap();
    assert_eq!(template.placeholders().map(|p| p.range.clone()).collect::<Vec<_>>(), [3..6, 7..13]);
}

#[test]
fn unclosed() {
    assert_eq!(refused("a {x").0, "{x");
    assert_eq!(refused("a {").0, "{");
    assert_eq!(refused("a {x:.1").0, "{x:.1");
    let (part, text) = refused("{x {y}");
    assert_eq!(part, "{x ");
    assert!(text.contains("unclosed `{x` before another `{`"), "{text}");
}

#[test]
fn unmatched() {
    assert_eq!(refused("a } b").0, "}");
    assert_eq!(refused("{x}}").0, "}");
}

#[test]
fn expressions_are_not_names() {
    for (text, part) in
        [("{x + 1}", "+"), ("{f()}", "("), ("{a[0]}", "["), ("{r#type}", "#"), ("{x!}", "!"), ("{&x}", "&")]
    {
        assert_eq!(refused(text).0, part, "{text}");
    }
    for (text, part) in
        [("{1x}", "1x"), ("{_}", "_"), ("{.x}", ".x"), ("{x.}", "x."), ("{a..b}", "a..b"), ("{0.1}", "0.1")]
    {
        let (found, reason) = refused(text);
        assert_eq!(found, part, "{text}");
        assert!(reason.starts_with(&format!("`{part}` is not a name")), "{reason}");
    }
    assert!(refused("{99999999999999999999}").1.contains("too large"));
}

#[test]
fn run_time_widths_and_precisions() {
    for text in ["{x:width$}", "{x:1$}", "{x:>w$.3}", "{x:0$}"] {
        assert!(refused(text).1.contains("takes the width from an argument"), "{text}");
    }
    for text in ["{x:.*}", "{x:.prec$}", "{x:8.0$}"] {
        assert!(refused(text).1.contains("takes the precision from an argument"), "{text}");
    }
}

#[test]
fn bad_specs() {
    assert!(refused("{x:k}").1.starts_with("unknown format type `k`"));
    assert!(refused("{x:??}").1.starts_with("unknown format type `??`"));
    assert!(refused("{x:5z}").1.starts_with("unknown format type `z`"));
    assert!(refused("{x:p}").1.contains("pointers"));
    assert!(refused("{x:.}").1.starts_with("missing precision"));
    assert_eq!(refused("{x:65536}"), ("65536", "width `65536` is above 65535".to_owned()));
    assert_eq!(refused("{x:.99999999999999999999}").0, "99999999999999999999");
    assert_eq!(refused("{x:}>5}").0, "}");
    assert_eq!(refused("{x:{^5}").0, "{");
}

/// Whatever the text, parsing ends, and an error names a part of the text.
#[test]
fn every_short_text_of_special_characters() {
    const ALPHABET: [char; 12] = ['{', '}', ':', '.', '$', '*', '?', '0', 'x', '<', ' ', 'é'];
    let mut accepted = 0;
    for len in 0..=5_u32 {
        for number in 0..ALPHABET.len().pow(len) {
            let text: String =
                (0..len).map(|digit| ALPHABET[number / ALPHABET.len().pow(digit) % ALPHABET.len()]).collect();
            match Template::parse(&text) {
                Ok(template) => {
                    accepted += 1;
                    let names: Vec<String> = template
                        .placeholders()
                        .map(|p| match &p.reference {
                            Reference::Next => String::new(),
                            Reference::Index(index) => index.to_string(),
                            Reference::Name(name) => name.clone(),
                        })
                        .collect();
                    let again = template.with_names(names.iter().map(String::as_str));
                    let normal =
                        Template::parse(&again).unwrap_or_else(|error| panic!("{text} → {again}: {}", error.text));
                    assert_eq!(normal.with_names(names.iter().map(String::as_str)), again, "{text}");
                }
                Err(error) => assert!(text.get(error.range.clone()).is_some(), "{text}: {:?}", error.range),
            }
        }
    }
    assert!(accepted > 1000, "{accepted}");
}
