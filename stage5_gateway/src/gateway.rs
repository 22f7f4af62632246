//! The gateway: which program or application answers a request, and what becomes of its answer.
//!
//! CGI and FastCGI differ in how bytes travel, not in what they say. Look at where a path is split:
//! what comes before belongs to the server and names the application, and what follows is for the
//! application alone.

use crate::answer::{self, Answer};
use crate::client::Client;
use crate::mount::{Application, Mount, is_executable};
use crate::options::Options;
use crate::request::{self, Request};
use crate::response::{Response, Status};
use crate::variables::{Variables, split_target, variables};
use crate::{cgi, fastcgi, handler, log};
use std::io::{ErrorKind, Read};
use std::mem;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::SpooledTempFile;

/// How many local redirects are followed for one request.
const MAX_REDIRECTS: usize = 10;

/// The two halves of a path.
pub struct Script {
    /// What names the application.
    pub name: String,
    /// The rest, which is up to the application.
    pub info: String,
    pub file: PathBuf,
}

/// A request on its way to an application.
pub struct Call {
    /// What names the application, for the log.
    pub name: String,
    pub variables: Variables,
    pub content: SpooledTempFile,
    pub client: Client,
    /// How long the application may stay silent.
    pub timeout: Duration,
}

/// The response of the application that is mounted at the path of a request.
pub fn respond(
    request: &Request,
    mut content: SpooledTempFile,
    client: &Client,
    options: &Options,
) -> Response {
    let mut request = request.clone();
    for _ in 0..=MAX_REDIRECTS {
        let Some(mount) = options.gateway.find(&request.path) else {
            return handler::respond(&request, &options.root);
        };
        let content = mem::replace(&mut content, SpooledTempFile::new(0));
        request = match ask(mount, &request, content, client, options) {
            Ok(Answer::Response(response)) => return response,
            Ok(Answer::Redirect(target)) => match redirected(&request, &target) {
                Ok(request) => request,
                Err(_) => break,
            },
            Err(status) => return handler::error(status, &options.root),
        };
    }
    log::line(&format!(
        "{}: too many or invalid redirects",
        request.path.escape_debug()
    ));
    handler::error(Status::BAD_GATEWAY, &options.root)
}

/// Sends a request to an application, and reads the head of its answer.
fn ask(
    mount: &Mount,
    request: &Request,
    content: SpooledTempFile,
    client: &Client,
    options: &Options,
) -> Result<Answer, Status> {
    let script = find_script(mount, &request.path, &options.root.path)?;
    let call = Call {
        variables: variables(request, &script, client, options),
        name: script.name,
        content,
        client: client.clone(),
        timeout: options.gateway.app_timeout(),
    };
    let timeout = call.timeout;
    let source: Result<Box<dyn Read + Send>, _> = match &mount.application {
        Application::Program(_) => cgi::start(&script.file, options.gateway.environment(), call)
            .map(|program| Box::new(program) as _),
        application => fastcgi::ask(application, call).map(|exchange| Box::new(exchange) as _),
    };
    let answer = source.and_then(|source| answer::read(source, request, timeout));
    answer.map_err(|error| {
        log::line(&format!("{}/: {error}", mount.prefix));
        match error.kind() {
            ErrorKind::TimedOut => Status::GATEWAY_TIMEOUT,
            ErrorKind::ResourceBusy => Status::SERVICE_UNAVAILABLE,
            _ => Status::BAD_GATEWAY,
        }
    })
}

/// Splits a path into what names the application, and the rest, which is for the application.
fn find_script(mount: &Mount, path: &str, root: &Path) -> Result<Script, Status> {
    if path.split('/').any(|segment| segment == "..") {
        return Err(Status::NOT_FOUND);
    }
    // The application is at one path only, though a file would have several.
    let rest = path.strip_prefix(&mount.prefix).ok_or(Status::NOT_FOUND)?;
    let mut name = mount.prefix.clone();
    let file = match &mount.application {
        Application::Program(folder) if folder.is_dir() => {
            let segment = rest.split('/').nth(1).unwrap_or("");
            name = format!("{name}/{segment}");
            let file = folder.join(segment).canonicalize();
            let file = file.map_err(|_| Status::NOT_FOUND)?;
            // A link may lead anywhere. To run a file is more than to read it.
            if !file.starts_with(folder) || !file.is_file() {
                return Err(Status::NOT_FOUND);
            }
            if !is_executable(&file) {
                return Err(Status::FORBIDDEN);
            }
            file
        }
        Application::Program(file) => file.clone(),
        _ => match php_script(path, &mount.prefix, root) {
            Some((script, file)) => {
                name = script;
                file
            }
            None => missing_script(path, &mount.prefix, root),
        },
    };
    let info = path.get(name.len()..).unwrap_or("").to_string();
    Ok(Script { name, info, file })
}

/// PHP runs files of the document root: the first one on the path, or the index of a folder.
fn php_script(path: &str, prefix: &str, root: &Path) -> Option<(String, PathBuf)> {
    let indexed = format!("{path}index.php");
    let whole = if path.ends_with('/') { &indexed } else { path };
    let ends = whole
        .match_indices(".php")
        .map(|(start, text)| start + text.len());
    let mut names = ends.map(|end| &whole[..end]).filter(|name| {
        name.len() > prefix.len() && matches!(whole.as_bytes().get(name.len()), None | Some(b'/'))
    });
    names.find_map(|name| {
        let file = root
            .join(name.trim_start_matches('/'))
            .canonicalize()
            .ok()?;
        (file.starts_with(root) && file.is_file()).then(|| (name.to_string(), file))
    })
}

/// The file for PHP if there is no script: one that is missing, or else a folder. PHP would run any file that
/// it gets, or that is on the way there, even a photo that somebody has uploaded.
fn missing_script(path: &str, prefix: &str, root: &Path) -> PathBuf {
    let [file, folder] = [path, prefix].map(|path| root.join(path.trim_start_matches('/')));
    match file.canonicalize() {
        Err(error) if error.kind() == ErrorKind::NotFound => file,
        _ => folder,
    }
}

/// The request for another path on this server: without content, as a client would send it
/// (RFC 3875, 6.2.2).
fn redirected(request: &Request, target: &str) -> Result<Request, Status> {
    let method = if request.method == "HEAD" {
        "HEAD"
    } else {
        "GET"
    };
    let line = format!("{method} {target} HTTP/1.1\r\nHost:\r\n\r\n");
    let mut next = request::parse(line.as_bytes())?;
    next.is_1_0 = request.is_1_0;
    next.fields.clone_from(&request.fields);
    next.fields
        .retain(|(name, _)| !name.starts_with("content-"));
    if let (Some(authority), _) = split_target(request) {
        next.fields.retain(|(name, _)| name != "host");
        next.fields.push(("host".to_string(), authority.to_vec()));
    }
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn split(mount: &Mount, path: &str, root: &Path) -> Result<(String, String), u16> {
        let script = find_script(mount, path, root);
        let parts = script.map(|script| (script.name, script.info));
        parts.map_err(|status| status.code)
    }

    fn add_program(path: &Path, mode: u32) {
        fs::write(path, "").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn program_is_found_in_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let programs = root.join("programs");
        fs::create_dir_all(programs.join("folder")).unwrap();
        add_program(&programs.join("a"), 0o755);
        add_program(&programs.join("text"), 0o644);
        add_program(&root.join("outside"), 0o755);
        symlink("../outside", programs.join("link")).unwrap();
        let mount = Mount {
            prefix: "/cgi".to_string(),
            application: Application::Program(programs),
        };
        let found = |name: &str, info: &str| Ok((name.to_string(), info.to_string()));
        for (path, expected) in [
            ("/cgi/a", found("/cgi/a", "")),
            ("/cgi/a/b//c/", found("/cgi/a", "/b//c/")),
            ("/cgi/text", Err(403)),
            ("/cgi", Err(404)),
            ("/cgi/", Err(404)),
            ("/cgi/.", Err(404)),
            ("/cgi/folder", Err(404)),
            ("/cgi/none", Err(404)),
            ("/cgi/link", Err(404)),
            ("/cgi/../outside", Err(404)),
            ("/cgi/a/../b", Err(404)),
            ("//cgi/a", Err(404)),
            ("/./cgi/a", Err(404)),
        ] {
            assert_eq!(split(&mount, path, &root), expected, "{path}");
        }
    }

    #[test]
    fn php_scripts_are_files_below_the_root() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("php/b.php.d")).unwrap();
        fs::write(root.join("php/a.php"), "").unwrap();
        fs::write(root.join("php/index.php"), "").unwrap();
        fs::write(root.join("php/photo.jpg"), "<?php").unwrap();
        symlink("/etc/hostname", root.join("php/link.php")).unwrap();
        let mount = Mount {
            prefix: "/php".to_string(),
            application: Application::Running(socket2::SockAddr::unix("/s").unwrap()),
        };
        for (path, name, info, file) in [
            ("/php/a.php", "/php/a.php", "", "php/a.php"),
            ("/php/a.php/b.php", "/php/a.php", "/b.php", "php/a.php"),
            ("/php/", "/php/index.php", "", "php/index.php"),
            ("/php/x.php", "/php", "/x.php", "php/x.php"),
            ("/php/b.php.d/c", "/php", "/b.php.d/c", "php/b.php.d/c"),
            ("/php/a.phpx", "/php", "/a.phpx", "php/a.phpx"),
            ("/php/link.php", "/php", "/link.php", "php"),
            ("/php/photo.jpg", "/php", "/photo.jpg", "php"),
            ("/php/photo.jpg/c.php", "/php", "/photo.jpg/c.php", "php"),
            ("/php", "/php", "", "php"),
        ] {
            let expected = Ok((name.to_string(), info.to_string()));
            assert_eq!(split(&mount, path, &root), expected, "{path}");
            let script = find_script(&mount, path, &root).unwrap();
            assert_eq!(script.file, root.join(file), "{path}");
        }
    }

    #[test]
    fn local_redirect_is_a_request_of_its_own() {
        let head =
            b"POST /a HTTP/1.0\r\nContent-Length: 0\r\nContent-Type: a/b\r\nCookie: c\r\n\r\n";
        let request = request::parse(head).unwrap();
        let next = redirected(&request, "/b%20c?d").unwrap();
        assert_eq!(
            (&*next.method, &*next.path, &*next.query),
            ("GET", "/b c", &b"?d"[..])
        );
        assert_eq!(next.fields, [("cookie".to_string(), b"c".to_vec())]);
        assert!(next.is_1_0 && next.content_length.is_none());
        let head = b"GET http://a:1/b HTTP/1.1\r\nHost: other\r\n\r\n";
        let next = redirected(&request::parse(head).unwrap(), "/c").unwrap();
        assert_eq!(next.fields, [("host".to_string(), b"a:1".to_vec())]);
        for target in ["/a b", "/a\r\nX: y", "/%zz", "/a#b"] {
            assert!(redirected(&request, target).is_err(), "{target:?}");
        }
    }
}
