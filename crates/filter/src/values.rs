//! From the written values of a term to typed ones.

use crate::{
    AddrItem, Addrs, Class, Context, Groups, Pattern, TextPattern, Values,
    addr::{AddrFault, AddrRange},
    error::{Fault, shown},
    fold, names, numbers, slips, suggest,
};
use bartizan_schema::{Field, FieldKind};
use std::ops::Range;

/// One value as it is written.
pub(crate) struct Raw<'a> {
    pub(crate) span: Range<usize>,
    pub(crate) text: RawText<'a>,
}

pub(crate) enum RawText<'a> {
    /// Without quotes; never empty.
    Bare(&'a str),
    /// In quotes, escapes resolved.
    Quoted(String),
    /// `~"…"`, escapes resolved.
    Regex(String),
}

/// Checks the values of a term against the type of its field.
pub(crate) fn typed(field: &'static Field, raws: &[Raw<'_>], context: &Context) -> Result<Values, Fault> {
    let mut present = false;
    let mut rest = Vec::with_capacity(raws.len());
    for raw in raws {
        match raw.text {
            RawText::Bare(text) if text.bytes().all(|b| b == b'*') => present = true,
            _ => rest.push(raw),
        }
    }
    if field.kind == FieldKind::Group {
        return groups(field, raws, context);
    }
    let values = match field.kind {
        FieldKind::Addr => addresses(field, &rest, context)?,
        FieldKind::Port | FieldKind::Proto | FieldKind::Asn | FieldKind::Number => {
            let mut ranges = Vec::with_capacity(rest.len());
            for raw in rest {
                numbers::read(field, unquoted(field, raw)?, raw.span.clone(), context, &mut ranges)?;
            }
            Values::numbers(ranges)
        }
        FieldKind::Flags => flags(field, &rest)?,
        FieldKind::Text | FieldKind::Group => {
            let mut patterns = Vec::with_capacity(rest.len());
            for raw in rest {
                patterns.push(pattern(field, raw)?);
            }
            Values::text(patterns)
        }
    };
    Ok(if present { Values::Present } else { values })
}

/// The text of a value of a field that takes no text: quotes are let through, regular expressions are not.
fn unquoted<'a>(field: &Field, raw: &'a Raw<'_>) -> Result<&'a str, Fault> {
    match &raw.text {
        RawText::Bare(text) => Ok(text),
        RawText::Quoted(text) => {
            let fault = Fault::new(raw.span.clone(), format!("`{}` takes no text", field.name));
            let word = !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || "\"(),".contains(c));
            Err(if word { fault.instead(text.as_str()) } else { fault })
        }
        RawText::Regex(_) => Err(Fault::new(
            raw.span.clone(),
            format!("regular expressions are for text; `{}` is none", field.name),
        )),
    }
}

fn addresses(field: &'static Field, raws: &[&Raw<'_>], context: &Context) -> Result<Values, Fault> {
    let mut items = Vec::with_capacity(raws.len());
    for raw in raws {
        items.push(address(field, unquoted(field, raw)?, &raw.span, context)?);
    }
    Ok(Values::Addr(Addrs::new(items, context)))
}

fn address(
    field: &'static Field,
    text: &str,
    span: &Range<usize>,
    context: &Context,
) -> Result<AddrItem, Fault> {
    let fault = |message: String| Fault::new(span.clone(), message);
    if let Some(name) = text.strip_prefix('@') {
        return set(name, span, context);
    }
    let lower = text.to_lowercase();
    if let Some(class) = Class::ALL.into_iter().find(|class| class.as_str() == lower) {
        return Ok(AddrItem::Class(class));
    }
    match lower.as_str() {
        "fleet" if context.addresses(&AddrItem::Fleet).is_some() => return Ok(AddrItem::Fleet),
        "self" if context.addresses(&AddrItem::Own).is_some() => return Ok(AddrItem::Own),
        "fleet" => {
            let fault = fault("the addresses of the fleet are not known here".to_owned());
            return Err(fault.of_a_name());
        }
        "self" => return Err(fault("`self` is known only where the filter runs on one host".to_owned())),
        _ => {}
    }
    match AddrRange::read(text) {
        Ok(range) => Ok(AddrItem::Range(range)),
        Err(AddrFault::PrefixTooLong(max)) => {
            let addr = text.split('/').next().unwrap_or_default();
            Err(fault(format!("the prefix of `{}` goes to /{max} at most", shown(text))).instead(addr))
        }
        Err(AddrFault::MixedFamilies) => Err(fault("a range is of IPv4 or of IPv6, not of both".to_owned())),
        Err(AddrFault::Reversed) => {
            let fault = fault(format!("the range `{}` ends before it starts", shown(text)));
            Err(match text.split_once('-') {
                Some((first, last)) => fault.instead(format!("{last}-{first}")),
                None => fault,
            })
        }
        Err(AddrFault::Shape) => Err(slips::not_an_address(field, text, span.clone())),
    }
}

fn set(name: &str, span: &Range<usize>, context: &Context) -> Result<AddrItem, Fault> {
    let item = AddrItem::Set(name.to_lowercase());
    if context.addresses(&item).is_some() && !name.is_empty() {
        return Ok(item);
    }
    let mut known: Vec<String> = context.set_names().take(9).map(|name| format!("@{name}")).collect();
    if known.len() > 8 {
        known.truncate(8);
        known.push("…".to_owned());
    }
    let known =
        if known.is_empty() { "there is none".to_owned() } else { format!("known: {}", known.join(" ")) };
    let fault = Fault::new(span.clone(), format!("unknown set `@{}` ({known})", shown(name))).of_a_name();
    Err(match suggest::closest(name, context.set_names()) {
        Some(name) => fault.instead(format!("@{name}")),
        None => fault,
    })
}

/// Names of groups. `*` is any of them, unlike in other fields: a host is always there, a group is not.
fn groups(field: &'static Field, raws: &[Raw<'_>], context: &Context) -> Result<Values, Fault> {
    let mut names = Vec::with_capacity(raws.len());
    for raw in raws {
        let name = pattern(field, raw)?;
        if !context.groups().any(|(group, _)| name.is_match(group)) {
            return Err(unknown_group(&name, &raw.span, context));
        }
        names.push(name);
    }
    Ok(Values::Groups(Groups::new(names, context)))
}

fn unknown_group(name: &TextPattern, span: &Range<usize>, context: &Context) -> Fault {
    let names = || context.groups().map(|(name, _)| name);
    let mut known: Vec<&str> = names().take(9).collect();
    if known.len() > 8 {
        known.truncate(8);
        known.push("…");
    }
    let known = match known.is_empty() {
        true => "there is none".to_owned(),
        false => format!("known: {}", known.join(" ")),
    };
    let TextPattern::Whole(text) = name else {
        return Fault::new(span.clone(), format!("no group is called so ({known})")).of_a_name();
    };
    let fault = Fault::new(span.clone(), format!("unknown group `{}` ({known})", shown(text))).of_a_name();
    match suggest::closest(text, names()) {
        Some(near) => fault.instead(near),
        None => fault,
    }
}

fn flags(field: &'static Field, raws: &[&Raw<'_>]) -> Result<Values, Fault> {
    let mut mask = 0;
    for raw in raws {
        let text = unquoted(field, raw)?;
        let lower = text.to_lowercase();
        match names::flag(&lower) {
            Some(bit) => mask |= bit,
            None => return Err(slips::not_a_flag(text, &lower, raw.span.clone())),
        }
    }
    Ok(Values::Flags(mask))
}

fn pattern(field: &'static Field, raw: &Raw<'_>) -> Result<TextPattern, Fault> {
    match &raw.text {
        RawText::Quoted(text) => {
            check_whole(field, text, &raw.span)?;
            Ok(TextPattern::Whole(fold(text)))
        }
        RawText::Regex(text) => regex(text, &raw.span).map(TextPattern::Regex),
        RawText::Bare(text) => {
            slips::text_value(field, text, raw.span.clone())?;
            if text.contains(['*', '?']) {
                return Ok(TextPattern::Glob(collapse(&fold(text))));
            }
            check_whole(field, text, &raw.span)?;
            Ok(TextPattern::Whole(fold(text)))
        }
    }
}

/// Compiles a regular expression.
pub(crate) fn regex(text: &str, span: &Range<usize>) -> Result<Pattern, Fault> {
    Pattern::new(text)
        .map_err(|why| Fault::new(span.clone(), format!("the regular expression is wrong: {why}")))
}

/// Several stars in a row are one.
pub(crate) fn collapse(glob: &str) -> String {
    let mut out = String::with_capacity(glob.len());
    for c in glob.chars() {
        if c != '*' || !out.ends_with('*') {
            out.push(c);
        }
    }
    out
}

/// Refuses what a field with few values never holds.
fn check_whole(field: &'static Field, text: &str, span: &Range<usize>) -> Result<(), Fault> {
    let folded = fold(text);
    if field.name == "mac" {
        return slips::check_mac(&folded, span);
    }
    if names::is_country(field.name) && !(folded.len() == 2 && folded.bytes().all(|b| b.is_ascii_lowercase()))
    {
        return Err(Fault::new(
            span.clone(),
            format!("a country is its code of two letters, as `{}:NL` (ISO 3166-1)", field.name),
        ));
    }
    let Some(vocabulary) = names::vocabulary(field.name) else { return Ok(()) };
    if vocabulary.contains(&folded.as_str()) {
        return Ok(());
    }
    let fault = Fault::new(
        span.clone(),
        format!("`{}` is never `{}`; it is {}", field.name, shown(text), vocabulary.join(", ")),
    );
    Err(
        match slips::synonym(field.name, &folded)
            .or_else(|| suggest::closest(&folded, vocabulary.iter().copied()))
        {
            Some(word) => fault.instead(word),
            None => fault,
        },
    )
}
