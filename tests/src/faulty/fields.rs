//! The header fields: understood at the last stage only, and refused where two programs
//! could understand them differently.

use crate::faulty::Settings;
use crate::faulty::faults::Fault;

/// What the fields of a request say.
#[derive(Default)]
pub struct Fields {
    /// The length of the content, where it was said.
    pub length: Option<u64>,
    /// The media type of the content, in lower case, without parameters.
    pub media_type: String,
    /// Whether the client waits for `100 Continue`.
    pub waits: bool,
}

/// Names in lower case, and values.
type Pairs = Vec<(String, Vec<u8>)>;

/// Whether these bytes are a token (RFC 9110, 5.6.2).
pub fn is_token(bytes: &[u8]) -> bool {
    let part = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(part)
}

impl Fields {
    /// Understands field lines. The error is the status code to answer with.
    pub fn parse<'a>(
        settings: &Settings,
        lines: impl Iterator<Item = &'a [u8]>,
        minor_version: u8,
    ) -> Result<Fields, u16> {
        let mut pairs = Pairs::new();
        for line in lines {
            if settings.has(Fault::FoldedLines) && line.starts_with(b" ") {
                continue;
            }
            pairs.push(pair(settings, line).ok_or(400_u16)?);
        }
        check_host(settings, &pairs, minor_version)?;
        let length = length(settings, &pairs)?;
        let media_type = values(&pairs, "content-type").next().unwrap_or(b"");
        let media_type = media_type.split(|byte| *byte == b';').next().unwrap_or(b"");
        let media_type = String::from_utf8_lossy(media_type.trim_ascii());
        let mut expectations = values(&pairs, "expect");
        let known = expectations.all(|value| value.eq_ignore_ascii_case(b"100-continue"));
        if !known && !settings.has(Fault::AnyExpectation) {
            return Err(417);
        }
        Ok(Fields {
            length,
            media_type: media_type.to_ascii_lowercase(),
            waits: minor_version == 1 && values(&pairs, "expect").next().is_some(),
        })
    }
}

/// The values of the fields of that name.
fn values<'a>(pairs: &'a Pairs, name: &str) -> impl Iterator<Item = &'a [u8]> {
    pairs
        .iter()
        .filter(move |(found, _)| found == name)
        .map(|(_, value)| value.as_slice())
}

/// Name and value of a field line (RFC 9112, 5). A folded line has no proper name.
fn pair(settings: &Settings, line: &[u8]) -> Option<(String, Vec<u8>)> {
    let colon = memchr::memchr(b':', line)?;
    let (mut name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    if settings.has(Fault::SpaceBeforeColon) {
        name = name.trim_ascii_end();
    }
    let named = is_token(name) || settings.has(Fault::AnyFieldName);
    let allowed = |byte: &u8| match *byte {
        b'\t' => true,
        b'\r' => settings.has(Fault::BareCr),
        0 => settings.has(Fault::NulInField),
        other => !other.is_ascii_control(),
    };
    let harmless = line[colon + 1..].iter().all(allowed);
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    (named && harmless).then(|| (name, value.to_vec()))
}

/// HTTP/1.1 asks for exactly one valid Host, HTTP/1.0 for one at most (RFC 9112, 3.2).
fn check_host(settings: &Settings, pairs: &Pairs, minor_version: u8) -> Result<(), u16> {
    let hosts: Vec<&[u8]> = values(pairs, "host").collect();
    let fine = match hosts[..] {
        [] => minor_version == 0 || settings.has(Fault::HostMayBeMissing),
        [host] => is_host(host) || settings.has(Fault::AnyHost),
        _ => settings.has(Fault::TwoHosts),
    };
    if fine { Ok(()) } else { Err(400) }
}

/// A name or an address, and perhaps a port.
fn is_host(host: &[u8]) -> bool {
    let host = String::from_utf8_lossy(host).into_owned();
    let (name, port) = match host.rfind(':') {
        Some(colon) if !host.ends_with(']') => (&host[..colon], &host[colon + 1..]),
        _ => (host.as_str(), ""),
    };
    let named = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&byte);
    let numbered = |byte: u8| byte.is_ascii_hexdigit() || b":.".contains(&byte);
    let inner = name.strip_prefix('[').and_then(|n| n.strip_suffix(']'));
    port.bytes().all(|byte| byte.is_ascii_digit())
        && match inner {
            Some(address) => !address.is_empty() && address.bytes().all(numbered),
            None => name.bytes().all(named),
        }
}

/// The length of the content: said once, in digits, and not beside another framing
/// (RFC 9112, 6.3).
fn length(settings: &Settings, pairs: &Pairs) -> Result<Option<u64>, u16> {
    let has = |fault| settings.has(fault);
    let coded =
        values(pairs, "transfer-encoding").next().is_some() && !has(Fault::TransferEncodingIgnored);
    let mut lengths: Vec<&[u8]> = values(pairs, "content-length").collect();
    if has(Fault::FirstLengthCounts) {
        lengths.truncate(1);
    }
    match lengths[..] {
        [] if coded => Err(501),
        [] => Ok(None),
        _ if coded && has(Fault::LengthBesideTransferEncoding) => Err(501),
        _ if coded => Err(400),
        [value] if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
            // More than fits is as good as the most that fits.
            let number = String::from_utf8_lossy(value).parse();
            Ok(Some(number.unwrap_or(u64::MAX)))
        }
        // `parse` takes a sign.
        [value] if value.starts_with(b"+") && has(Fault::PlusBeforeLength) => {
            let number = String::from_utf8_lossy(&value[1..]).parse();
            Ok(Some(number.map_err(|_| 400_u16)?))
        }
        [_] if has(Fault::OddLengthIsNone) => Ok(None),
        _ => Err(400),
    }
}
