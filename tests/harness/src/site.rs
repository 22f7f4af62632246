//! A document root with random names and contents, different for every check, so that no answer
//! can be hard-coded in a program.

use crate::account::Account;
use crate::cleanup::{self, ScratchDir};
use fastrand::Rng;
use memchr::memmem;
use std::cell::RefCell;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A document root, and a secret file next to it.
pub struct Site {
    folder: ScratchDir,
    rng: RefCell<Rng>,
    /// The random names that were given out.
    names: RefCell<Vec<String>>,
    /// The owner of everything in it; `None` for the current user.
    owner: Option<Account>,
    /// The content of `/`.
    pub index: Vec<u8>,
    /// A page in the root.
    pub page: File,
    /// A page in a folder: its name contains a slash.
    pub nested: File,
    /// The pages of the contract: the form, and those for 403 and 404.
    pub form: File,
    pub forbidden: File,
    pub missing: File,
    /// A file next to the root, which no response may contain.
    pub secret: File,
}

/// A file of a site.
#[derive(Clone, Default)]
pub struct File {
    /// Its name below the document root, without a leading slash. The secret's name is relative
    /// to the folder of the root.
    pub name: String,
    pub content: Vec<u8>,
}

impl File {
    /// The request target of this file.
    pub fn target(&self) -> String {
        format!("/{}", self.name)
    }
}

impl Site {
    /// Creates a site. The same generator creates the same site. It belongs to `owner`, the user
    /// that the server runs as.
    pub fn new(rng: Rng, owner: Option<Account>) -> io::Result<Site> {
        let mut site = Site {
            folder: ScratchDir::new()?,
            rng: RefCell::new(rng),
            names: RefCell::default(),
            owner,
            index: Vec::new(),
            page: File::default(),
            nested: File::default(),
            form: File::default(),
            forbidden: File::default(),
            missing: File::default(),
            secret: File::default(),
        };
        // The checks set permissions, not the umask.
        site.hand_over(site.folder.path(), 0o755)?;
        fs::create_dir(site.root())?;
        site.hand_over(&site.root(), 0o755)?;
        site.index = site.add_page("index.html")?.content;
        site.page = site.add_page(&format!("{}.html", site.name()))?;
        site.nested = site.add_page(&format!("{}/{}.html", site.name(), site.name()))?;
        site.form = site.add_page("MyForm.html")?;
        site.forbidden = site.add_page("403.html")?;
        site.missing = site.add_page("404.html")?;
        site.secret = File {
            name: format!("{}.html", site.name()),
            content: format!("secret-{}-{}", site.name(), site.name()).into_bytes(),
        };
        let secret = site.outside(&site.secret.name);
        fs::write(&secret, &site.secret.content)?;
        site.hand_over(&secret, 0o644)?;
        Ok(site)
    }

    /// The document root.
    pub fn root(&self) -> PathBuf {
        self.outside("root")
    }

    /// A path next to the document root.
    pub fn outside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A path below the document root.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// The folder of the nested page. It has no index.html.
    pub fn nested_folder(&self) -> &str {
        self.nested.name.split('/').next().unwrap_or_default()
    }

    /// A random name. It consists of letters, so it needs no escaping anywhere.
    pub fn name(&self) -> String {
        let mut rng = self.rng.borrow_mut();
        let name: String = (0..12).map(|_| rng.lowercase()).collect();
        self.names.borrow_mut().push(name.clone());
        name
    }

    /// Whether these bytes contain a random name, of a file that is gone with the site.
    pub fn is_named_in(&self, bytes: &[u8]) -> bool {
        let names = self.names.borrow();
        names
            .iter()
            .any(|name| memmem::find(bytes, name.as_bytes()).is_some())
    }

    /// Random bytes.
    pub fn bytes(&self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.rng.borrow_mut().fill(&mut bytes);
        bytes
    }

    /// A random number below `end`.
    pub fn below(&self, end: usize) -> usize {
        self.rng.borrow_mut().usize(..end)
    }

    /// Adds a file below the root, with the folders on the way. Everybody can read it.
    pub fn add(&self, name: &str, content: &[u8]) -> io::Result<File> {
        let path = self.path(name);
        let root = self.root();
        let folders = path.ancestors().skip(1);
        for folder in folders.take_while(|folder| **folder != root) {
            fs::create_dir_all(folder)?;
            self.hand_over(folder, 0o755)?;
        }
        fs::write(&path, content)?;
        self.hand_over(&path, 0o644)?;
        Ok(File {
            name: name.to_string(),
            content: content.to_vec(),
        })
    }

    /// Adds a small page with random text below the root.
    pub fn add_page(&self, name: &str) -> io::Result<File> {
        let (title, text) = (self.name(), self.name());
        let page = format!("<!DOCTYPE html>\n<title>{title}</title>\n{text}\n");
        self.add(name, page.as_bytes())
    }

    /// Adds an executable file to a folder next to the root. The folder belongs to the user that the
    /// server runs as.
    pub fn add_executable(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.add_outside(name, text)?;
        self.hand_over(&path, 0o755)?;
        Ok(path)
    }

    /// Adds a file to a folder next to the root.
    pub fn add_outside(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.outside(name);
        let top = self.folder.path();
        let folders = path.ancestors().skip(1);
        for folder in folders.take_while(|folder| *folder != top) {
            fs::create_dir_all(folder)?;
            self.hand_over(folder, 0o755)?;
        }
        // Nobody could execute it while it is open for writing.
        cleanup::without_starting_processes(|| fs::write(&path, text))?;
        self.hand_over(&path, 0o644)?;
        Ok(path)
    }

    /// Adds a file of zero bytes below the root. It uses no space on the disk.
    pub fn add_large(&self, name: &str, length: u64) -> io::Result<()> {
        self.add(name, b"")?;
        self.resize(name, length)
    }

    /// Adds a named pipe below the root that everybody can read.
    pub fn add_fifo(&self, name: &str) -> io::Result<()> {
        // mkfifo(1) exists everywhere; mkfifo(3) would need a crate for macOS.
        let mut command = Command::new("mkfifo");
        command.args(["-m", "644"]).arg(self.path(name));
        let status = cleanup::run(&mut command)?.status;
        if status.success() {
            return Ok(());
        }
        Err(io::Error::other(format!("mkfifo(1): {status}")))
    }

    /// Truncates or extends a file below the root.
    pub fn resize(&self, name: &str, length: u64) -> io::Result<()> {
        let file = fs::OpenOptions::new().write(true).open(self.path(name))?;
        file.set_len(length)
    }

    /// Sets the mode of a file below the root, as chmod(1) does.
    pub fn set_mode(&self, name: &str, mode: u32) -> io::Result<()> {
        self.hand_over(&self.path(name), mode)
    }

    /// Sets the owner and the mode of a file or folder.
    fn hand_over(&self, path: &Path, mode: u32) -> io::Result<()> {
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        self.owner.map_or(Ok(()), |owner| owner.give(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn site_follows_from_its_seed() {
        let page = |seed| Site::new(Rng::with_seed(seed), None).unwrap().page;
        assert_eq!(page(1).name, page(1).name);
        assert_eq!(page(1).content, page(1).content);
        assert_ne!(page(1).name, page(2).name);
    }
}
