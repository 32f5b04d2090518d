use syn::parse_str;

use super::*;
use crate::args::Event;

fn resolve(user: &str) -> Result<Fields> {
    parse_str::<Event>(&format!("[krate] [Info] {user}")).and_then(|event| Fields::resolve(event.arguments))
}

/// The message, then each field as `name=literal` or `name=hold expression`, then the operands in order of evaluation.
fn resolved(user: &str) -> String {
    let Fields { message, fields, operands } = resolve(user).unwrap_or_else(|error| panic!("{user}: {error}"));
    let mut out = message;
    for Field { name, source, secret } in fields {
        let name = if secret { format!("secret {name}") } else { name };
        match source {
            FieldSource::Folded(value) => out.push_str(&format!(" | {name}={value:?}")),
            FieldSource::Operand(index) => {
                let operand = &operands[index];
                let expr = operand.expr.to_string().replace(' ', "");
                out.push_str(&format!(" | {name}={:?} {expr} #{index}", operand.hold));
            }
        }
    }
    out
}

fn refused(user: &str) -> String {
    match resolve(user) {
        Ok(_) => panic!("accepted: {user}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn message_first_last_between_and_none() {
    assert_eq!(resolved(r#""m", x"#), "m | x=Bare x #0");
    assert_eq!(resolved(r#"x, "m""#), "m | x=Bare x #0");
    assert_eq!(resolved(r#"x, "m {}", y, z"#), "m {y} | x=Bare x #0 | y=Template y #1 | z=Bare z #2");
    assert_eq!(resolved("x, k = 1"), " | x=Bare x #0 | k=I64(1)");
}

#[test]
fn shorthand_names() {
    assert_eq!(
        resolved(r#""m", x, self.user.id, %r#type, ?pair.0"#),
        "m | x=Bare x #0 | self.user.id=Bare self.user.id #1 | type=Display r#type #2 | pair.0=Debug pair.0 #3"
    );
}

#[test]
fn captured() {
    assert_eq!(
        resolved(r#""{x} {y:?} {z:.1}""#),
        "{x} {y:?} {z:.1} | x=Template x #0 | y=TemplateDebug y #1 | z=Template z #2"
    );
    assert_eq!(resolved(r#""{type} {self}""#), "{type} {self} | type=Template r#type #0 | self=Template self #1");
    assert_eq!(resolved(r#""{req.id} {p.0}""#), "{req.id} {p.0} | req.id=Template req.id #0 | p.0=Template p.0 #1");
}

#[test]
fn captured_twice_is_one_field() {
    assert_eq!(resolved(r#""{x} {x:?}""#), "{x} {x:?} | x=Template x #0");
    assert_eq!(resolved(r#""{x:?} {x}""#), "{x:?} {x} | x=TemplateDebug x #0");
}

#[test]
fn placeholders_of_listed_fields() {
    assert_eq!(resolved(r#""{x}", x"#), "{x} | x=Template x #0");
    assert_eq!(resolved(r#""{x:?}", x = f()"#), "{x:?} | x=TemplateDebug f() #0");
    assert_eq!(resolved(r#"x = %y, "{x}""#), "{x} | x=Display y #0");
    assert_eq!(
        resolved(r#""{env} {http.status}", env = "prod", http.status = 200"#),
        r#"{env} {http.status} | env=Str("prod") | http.status=I64(200)"#
    );
}

#[test]
fn positional() {
    assert_eq!(resolved(r#""{} {}", a, b.c"#), "{a} {c} | a=Template a #0 | c=Template b.c #1");
    assert_eq!(resolved(r#""{1} {0} {0:?}", a, b"#), "{b} {a} {a:?} | b=Template b #1 | a=Template a #0");
    assert_eq!(resolved(r#""{} {0}", a"#), "{a} {a} | a=Template a #0");
    assert_eq!(resolved(r#""{} {}", f(x), 5"#), "{arg0} {arg1} | arg0=Template f(x) #0 | arg1=I64(5)");
    assert_eq!(
        resolved(r#""{} {} {}", &a, *b, (c)"#),
        "{a} {b} {c} | a=Template &a #0 | b=Template *b #1 | c=Template (c) #2"
    );
    assert_eq!(resolved(r#""{} {:?}", %a, m::N"#), "{a} {N:?} | a=Display a #0 | N=TemplateDebug m::N #1");
    assert_eq!(resolved(r#""{} {}", t.0, "s""#), r#"{arg0} {arg1} | arg0=Template t.0 #0 | arg1=Str("s")"#);
    assert_eq!(resolved(r#""{}", k = 1, x"#), "{x} | x=Template x #0 | k=I64(1)");
}

#[test]
fn positional_names_that_are_taken() {
    assert_eq!(resolved(r#""{} {}", a.id, b.id"#), "{id} {arg1} | id=Template a.id #0 | arg1=Template b.id #1");
    assert_eq!(resolved(r#""{} {id}", req.id"#), "{arg0} {id} | arg0=Template req.id #1 | id=Template id #0");
    assert_eq!(resolved(r#""{}", x, x = 1"#), "{arg0} | arg0=Template x #0 | x=I64(1)");
    assert_eq!(resolved(r#""{}", 1, arg0 = 2"#), "{arg0_} | arg0_=I64(1) | arg0=I64(2)");
}

#[test]
fn evaluated_in_the_order_of_the_source() {
    assert_eq!(
        resolved(r#"z = f(), "{b} {a} {c}", a = g(), b = h()"#),
        "{b} {a} {c} | z=Bare f() #0 | b=Template h() #3 | a=Template g() #2 | c=Template c #1"
    );
}

#[test]
fn literals_are_folded_unless_captured_as_text() {
    assert_eq!(
        resolved(r#""m", a = 1, b = %1, c = ?"x", d = (-2.5)"#),
        r#"m | a=I64(1) | b=Display 1 #0 | c=Debug "x" #1 | d=F64(-2.5)"#
    );
}

#[test]
fn misuse() {
    for (user, expected) in [
        ("format!(\"x\")", "the message must be a string literal"),
        ("5, x", "the message must be a string literal"),
        ("m::MESSAGE", "the message must be a string literal"),
        ("%f(x), y", "this field needs a name"),
        ("f(x), \"m\"", "this field needs a name: `name = …`"),
        ("\"m\", f(x)", "the message has no `{}` for this argument"),
        ("\"m {}\", a, b + c", "the message has no `{}` for this argument"),
        ("\"m\", \"n\"", "one message"),
        ("\"m {}\"", "`{}` needs a positional argument with index 0 after the message, but there is none"),
        (
            "\"m {} {:?}\", a",
            "`{:?}` needs a positional argument with index 1 after the message, but there is only index 0",
        ),
        ("\"m {3}\", a, b", "the last one has index 1"),
        ("a, \"m {}\"", "but there is none"),
        ("\"m {1}\", a, b", "positional argument 0 is not shown"),
        ("\"m\", x, x", "a field `x` already"),
        ("\"m\", x, x = 1", "a field `x` already"),
        ("x = 1, \"m\", \"x\" = 2", "a field `x` already"),
        ("\"m {crate}\"", "`crate` in `{crate}` is not the name of a variable"),
        ("\"m {x.self}\"", "`self` in `{x.self}`"),
        ("\"m {\"", "unclosed"),
        ("\"m\", k = 256u8", "out of range"),
    ] {
        let text = refused(user);
        assert!(text.contains(expected), "{user}: {text}");
    }
}

#[test]
fn secret_marks_the_field_wherever_it_is_shown() {
    assert_eq!(
        resolved(r#""user {user} token {token}", user, secret token"#),
        "user {user} token {token} | user=Template user #0 | secret token=Template token #1"
    );
    assert_eq!(
        resolved(r#"secret token, "{token} {} {}", secret a, b, secret pin = 7, secret %c"#),
        "{token} {a} {b} | secret token=Template token #0 | secret a=Template a #1 | b=Template b #2 \
         | secret pin=I64(7) | secret c=Display c #3"
    );
    // Positional without a name of its own.
    assert_eq!(resolved(r#""{}", secret f()"#), "{arg0} | secret arg0=Template f() #0");
}

#[test]
fn secret_message_and_secret_without_a_name() {
    assert!(refused(r#"secret "m""#).starts_with("a message cannot be secret"));
    assert!(refused(r#""m", secret if a { b } else { c }"#).contains("give it a name"));
}
