use syn::parse_str;

use super::*;

fn parse(user: &str) -> Result<Event> {
    parse_str(&format!("[krate] [Info] {user}"))
}

/// Each argument as `name=`, the sigil of its capture, and its expression.
fn arguments(user: &str) -> Vec<String> {
    let event = parse(user).unwrap_or_else(|error| panic!("{user}: {error}"));
    let show = |argument: Argument| {
        let name = argument.name.map(|name| name.text + "=").unwrap_or_default();
        let sigil = match argument.capture {
            Capture::Plain => "",
            Capture::Display => "%",
            Capture::Debug => "?",
            Capture::Argument => "~",
        };
        let mark = if argument.secret { "secret " } else { "" };
        format!("{mark}{name}{sigil}{}", argument.expr.to_token_stream().to_string().replace(' ', ""))
    };
    event.arguments.into_iter().map(show).collect()
}

fn refused(user: &str) -> String {
    match parse(user) {
        Ok(_) => panic!("accepted: {user}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn every_form_of_argument() {
    assert_eq!(
        arguments(r#""m", x, %x, ?x, k = v, k = %v, k = ?v, a.b.c = 1, "any text" = 2, r#type = 3, type = 4, self.id"#),
        ["\"m\"", "x", "%x", "?x", "k=v", "k=%v", "k=?v", "a.b.c=1", "any text=2", "type=3", "type=4", "self.id"]
    );
}

#[test]
fn commas_inside_arguments() {
    assert_eq!(
        arguments(r"f::<A, B>(1, 2), k = |a, b| a + b, [1, 2], k2 = if a { b } else { c }, ?match x { _ => (1, 2) }"),
        ["f::<A,B>(1,2)", "k=|a,b|a+b", "[1,2]", "k2=ifa{b}else{c}", "?matchx{_=>(1,2)}"]
    );
}

#[test]
fn comparisons_are_not_names() {
    assert_eq!(arguments("a == b, k = a == b, x.y == z"), ["a==b", "k=a==b", "x.y==z"]);
}

#[test]
fn trailing_comma() {
    assert_eq!(arguments("\"m\", x,"), ["\"m\"", "x"]);
    assert_eq!(arguments("\"m\","), ["\"m\""]);
}

#[test]
fn target_first() {
    let event = parse("target: concat!(\"a\", \"b\"), \"m\"").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(event.labels.target.to_token_stream().to_string(), "concat ! (\"a\" , \"b\")");
    assert_eq!(event.arguments.len(), 1);
}

#[test]
fn level_and_target_in_either_order() {
    for user in ["Level::Warn, target: \"t\", \"m\"", "target: \"t\", Level::Warn, \"m\""] {
        let event: Event = parse_str(&format!("[krate] [] {user}")).unwrap_or_else(|error| panic!("{user}: {error}"));
        let Level::Constant(level) = event.level else { panic!("{user}: not a constant") };
        assert_eq!(level.to_token_stream().to_string(), "Level :: Warn");
        assert_eq!(event.labels.target.to_token_stream().to_string(), "\"t\"");
        assert_eq!(event.arguments.len(), 1);
    }
}

#[test]
fn misuse() {
    for (user, expected) in [
        ("", "event is empty"),
        ("target: \"t\"", "event is empty"),
        ("target: \"t\",", "event is empty"),
        ("target: , \"m\"", "missing value of `target:`"),
        ("\"m\", target: \"t\"", "`target:` must come first"),
        ("\"m\", parent: span", "`parent:` must come first"),
        ("parent: , \"m\"", "missing value of `parent:`"),
        ("parent: a, parent: b, \"m\"", "duplicate `parent:`"),
        ("name: x, \"m\"", "`name:` is not supported"),
        ("\"m\", x: 5", "write a field as `x = value`"),
        ("\"m\", k =", "missing value of field `k`"),
        ("\"m\", k = , x", "missing value of field `k`"),
        ("\"m\", k = %", "missing value after `%`"),
        ("\"m\", ?, x", "missing value after `?`"),
        ("\"m\",, x", "expected a field, an argument or the message"),
        (", \"m\"", "expected a field, an argument or the message"),
        ("\"m\" x", "expected `,`"),
        ("x y", "expected `,`"),
        ("\"m\", \"\" = 1", "cannot be empty"),
        ("\"m\", a = b = c", "write `==` to compare"),
        ("\"m\", f() = 1", "the name of a field is an identifier"),
        ("\"m\", _ = 1", "the name of a field is an identifier"),
    ] {
        let text = refused(user);
        assert!(text.contains(expected), "{user}: {text}");
    }
}

#[test]
fn misuse_of_the_level() {
    for user in ["", "\"m\"", "5, \"m\"", "%x", "k = v, \"m\"", ", \"m\""] {
        match parse_str::<Event>(&format!("[krate] [] {user}")) {
            Ok(_) => panic!("accepted: {user}"),
            Err(error) => assert!(error.to_string().starts_with("expected a level"), "{user}: {error}"),
        }
    }
}

#[test]
fn secret_before_every_form_of_argument() {
    assert_eq!(
        arguments(
            r#"secret x, secret %x, secret ?x, secret k = v, secret k = %v, secret k = ?v, secret a.b = 1,
               secret "any text" = 2, secret r#type = 3, secret self.id, secret secret, secret secret = 4,
               secret %f(x)"#
        ),
        [
            "secret x",
            "secret %x",
            "secret ?x",
            "secret k=v",
            "secret k=%v",
            "secret k=?v",
            "secret a.b=1",
            "secret any text=2",
            "secret type=3",
            "secret self.id",
            "secret secret",
            "secret secret=4",
            "secret %f(x)"
        ]
    );
}

#[test]
fn secret_as_a_name_and_in_expressions() {
    assert_eq!(
        arguments(
            r"secret, %secret, ?secret, secret = 5, secret = %secret, secret.x, secret.x = 1, secret == 1,
              secret as u64,
              secret?, secret?.x, secret(1), secret[0], secret::<u8>(), secret!(), &secret, secret % 2, (secret % x),
              secret + x, secret - x, secret & x, r#secret, k = secret, k = secret.x"
        ),
        [
            "secret",
            "%secret",
            "?secret",
            "secret=5",
            "secret=%secret",
            "secret.x",
            "secret.x=1",
            "secret==1",
            "secretasu64",
            "secret?",
            "secret?.x",
            "secret(1)",
            "secret[0]",
            "secret::<u8>()",
            "secret!()",
            "&secret",
            "secret%2",
            "(secret%x)",
            "secret+x",
            "secret-x",
            "secret&x",
            "r#secret",
            "k=secret",
            "k=secret.x"
        ]
    );
}

#[test]
fn secret_in_the_wrong_place() {
    assert!(refused("k = secret x").contains("`secret` comes before the name"));
    assert!(refused("k = secret %x").contains("`secret` comes before the name"));
    assert!(refused("%secret x").contains("`secret` comes before `%`"));
    assert!(refused("?secret x").contains("`secret` comes before `?`"));
    assert!(refused("secret secret x").contains("duplicate `secret`"));
    assert!(refused("secret x y").contains("expected `,`"));
}
