//! The form: reads its content and shows its fields.

use crate::reader::Reader;
use crate::request::Request;
use crate::response::Response;
use crate::{Config, Fault, Status, files};
use html_escape::encode_text;

/// The page that accepts POST.
pub const PAGE: &[u8] = b"/MyForm.html";

/// The maximum length of the content, in bytes.
const MAX_CONTENT: u64 = 64 * 1024;

/// The response to POST on the form page.
pub fn post(config: &Config, request: &Request, reader: &mut Reader) -> Result<Response, Status> {
    let has = |fault| config.has(fault);
    let fields = &request.fields;
    files::open(config, PAGE)?;
    if has(Fault::NeverReadsForm) {
        return Ok(Response::html(Status::OK, echo(config, "")));
    }
    if has(Fault::ContinueBeforeChecks) && fields.expects_continue {
        reader.send_continue();
    }
    let length = match fields.content_length {
        None if has(Fault::MissingLengthIsZero) => 0,
        length => length.ok_or(Status::LENGTH_REQUIRED)?,
    };
    let limit = match config.fault {
        Some(Fault::NoContentLimit) => u64::MAX,
        Some(Fault::ContentLimitTooSmall) => MAX_CONTENT - 1,
        _ => MAX_CONTENT,
    };
    if length > limit {
        return Err(Status::CONTENT_TOO_LARGE);
    }
    let is_form = fields.media_type == "application/x-www-form-urlencoded";
    if !is_form && !has(Fault::AcceptsAnyContentType) {
        return Err(Status::UNSUPPORTED_MEDIA_TYPE);
    }
    if fields.expects_continue && !has(Fault::IgnoresExpectContinue) {
        reader.send_continue();
    }
    let content = reader.read_content(length)?;
    let page = echo(config, &String::from_utf8_lossy(&content));
    Ok(Response::html(Status::OK, page))
}

/// A page that shows the fields of a form.
fn echo(config: &Config, content: &str) -> String {
    let content = match config.fault {
        Some(Fault::KeepsPlusInForms) => content.replace('+', "%2B"),
        _ => content.to_string(),
    };
    let mut page = String::from("<!DOCTYPE html>\n<title>Form</title>\n<dl>\n");
    for (name, value) in form_urlencoded::parse(content.as_bytes()) {
        let (safe_name, safe_value) = (encode_text(&name), encode_text(&value));
        let (name, value) = match config.fault {
            Some(Fault::FormNotEscaped) => (&name, &value),
            Some(Fault::FormNamesNotEscaped) => (&name, &safe_value),
            Some(Fault::FormValuesNotEscaped) => (&safe_name, &value),
            _ => (&safe_name, &safe_value),
        };
        page += &format!("<dt>{name}</dt><dd>{value}</dd>\n");
    }
    page + "</dl>\n"
}
