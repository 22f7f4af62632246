//! The form: its body read, its fields shown again.

use crate::faulty::Settings;
use crate::faulty::faults::Fault;
use crate::faulty::files;
use crate::faulty::head::Source;
use crate::faulty::request::Request;
use crate::faulty::response::Response;
use html_escape::encode_text;
use std::borrow::Cow;

/// The page that takes POST.
pub const PAGE: &[u8] = b"/MyForm.html";

/// The longest body, in bytes.
const LIMIT: u64 = 64 * 1024;

/// Answers POST on the form page. The error is the status code to answer with.
pub fn post(settings: &Settings, request: &Request, source: &mut Source) -> Result<Response, u16> {
    let has = |fault| settings.has(fault);
    files::find(settings, PAGE)?;
    if has(Fault::FormIsNeverRead) {
        return Ok(Response::page(200, page(settings, b"")));
    }
    if has(Fault::ContinueBeforeTheRules) && request.fields.waits {
        source.go_on();
    }
    let length = match request.fields.length {
        None if !has(Fault::LengthMayBeMissing) => return Err(411),
        length => length.unwrap_or(0),
    };
    let limit = match settings.fault {
        Some(Fault::NoBodyLimit) => u64::MAX,
        Some(Fault::BodyLimitOneLess) => LIMIT - 1,
        _ => LIMIT,
    };
    if length > limit {
        return Err(413);
    }
    let is_form = request.fields.media_type == "application/x-www-form-urlencoded";
    if !is_form && !has(Fault::AnyBodyIsAForm) {
        return Err(415);
    }
    if request.fields.waits && !has(Fault::NeverSaysContinue) {
        source.go_on();
    }
    match has(Fault::BodyHasNoDeadline) {
        true => source.wait_for_ever(),
        false => source.give_time(),
    }
    let body = source.body(length)?;
    Ok(Response::page(200, page(settings, &body)))
}

/// A page that shows the fields of a form.
fn page(settings: &Settings, body: &[u8]) -> String {
    let escaped = |text: Cow<str>, unescaped: Fault| match settings.fault {
        Some(Fault::FormIsNotEscaped) => text.into_owned(),
        Some(fault) if fault == unescaped => text.into_owned(),
        _ => encode_text(&text).into_owned(),
    };
    // `+` stands for a space in a form; written as `%2B`, it stays what it is.
    let plus = String::from_utf8_lossy(body).replace('+', "%2B");
    let body = match settings.has(Fault::PlusStaysInForms) {
        true => plus.as_bytes(),
        false => body,
    };
    let mut page = String::from("<!DOCTYPE html>\n<title>Form</title>\n<dl>\n");
    for (name, value) in form_urlencoded::parse(body) {
        let name = escaped(name, Fault::FieldNamesAreNotEscaped);
        let value = escaped(value, Fault::FieldValuesAreNotEscaped);
        page += &format!("<dt>{name}</dt><dd>{value}</dd>\n");
    }
    page + "</dl>\n"
}
