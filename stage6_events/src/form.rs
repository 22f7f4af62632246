//! Forms: the fields that a person has filled in, and the page that shows them again.
//!
//! What comes from a form is a stranger's text. Look at how it is escaped on its way into
//! the page: whoever types `<script>` sees it as text, and no browser runs it.

use html_escape::encode_text;

/// The page that can be posted to.
pub const PAGE: &str = "/MyForm.html";

/// How a browser writes the fields of a form into a body.
pub const MEDIA_TYPE: &str = "application/x-www-form-urlencoded";

/// A page that shows every field of a form, in the order in which they came.
pub fn echo(body: &[u8]) -> String {
    let mut rows = String::new();
    for (name, value) in form_urlencoded::parse(body) {
        let (name, value) = (encode_text(&name), encode_text(&value));
        rows += &format!("<tr><th scope=\"row\">{name}</th><td>{value}</td></tr>\n");
    }
    if rows.is_empty() {
        rows += "<tr><td>The form was empty.</td></tr>\n";
    }
    format!(
        "<!DOCTYPE html>\n\
         <html lang=\"en\">\n\
         <head>\n\
         <meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>What the server received</title>\n\
         <link rel=\"icon\" href=\"/media/icon.png\" type=\"image/png\">\n\
         <link rel=\"stylesheet\" href=\"/style.css\">\n\
         </head>\n\
         <body>\n\
         <main>\n\
         <h1>What the server received</h1>\n\
         <table>\n{rows}</table>\n\
         <p><a href=\"{PAGE}\">Back to the form</a></p>\n\
         </main>\n\
         </body>\n\
         </html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_fields_decoded_and_in_order() {
        let page = echo("b=two+words&a=%E4%BD%A0&b=".as_bytes());
        let rows: Vec<&str> = page
            .lines()
            .filter(|line| line.starts_with("<tr>"))
            .collect();
        assert_eq!(
            rows,
            [
                "<tr><th scope=\"row\">b</th><td>two words</td></tr>",
                "<tr><th scope=\"row\">a</th><td>你</td></tr>",
                "<tr><th scope=\"row\">b</th><td></td></tr>",
            ]
        );
    }

    #[test]
    fn what_is_typed_stays_text() {
        let page = echo(b"<b>=%3Cscript%3Ealert(1)%3C/script%3E&x=%26lt;");
        assert!(!page.contains("<script>") && !page.contains("<b>"));
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
        assert!(page.contains("&amp;lt;"));
    }

    #[test]
    fn an_empty_form_says_so() {
        assert!(echo(b"").contains("The form was empty."));
    }
}
