//! A site: a document root with random names and random contents, made anew for each
//! check, so that no answer can be written into a program beforehand.

use crate::ending::Folder;
use crate::program::Account;
use fastrand::Rng;
use std::cell::RefCell;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A document root, and a secret beside it.
pub struct Site {
    folder: Folder,
    rng: RefCell<Rng>,
    /// Whom everything in it belongs to; `None`: us.
    owner: Option<Account>,
    /// What `/` shows.
    pub index: Vec<u8>,
    /// The name of a page in the root, and what it shows.
    pub page: File,
    /// A file in a folder, whose name holds a slash.
    pub nested: File,
    /// The pages of the contract: the form, and those for 403 and 404.
    pub form: File,
    pub forbidden: File,
    pub missing: File,
    /// A file beside the root, which no answer may contain.
    pub secret: File,
}

/// A file of a site.
#[derive(Clone)]
pub struct File {
    /// Its name below the document root (the secret's: beside it), without a slash in front.
    pub name: String,
    pub content: Vec<u8>,
}

impl File {
    /// The request target that asks for it.
    pub fn target(&self) -> String {
        format!("/{}", self.name)
    }
}

impl Site {
    /// Makes a site; the same generator makes the same site. It belongs to the user whom the
    /// server runs as, just as if we were that user.
    pub fn new(rng: Rng, owner: Option<Account>) -> io::Result<Site> {
        let empty = || File {
            name: String::new(),
            content: Vec::new(),
        };
        let mut site = Site {
            folder: Folder::new()?,
            rng: RefCell::new(rng),
            owner,
            index: Vec::new(),
            page: empty(),
            nested: empty(),
            form: empty(),
            forbidden: empty(),
            missing: empty(),
            secret: empty(),
        };
        // What others may read is for the checks to change, not for the umask.
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
        let secret = site.beside(&site.secret.name);
        fs::write(&secret, &site.secret.content)?;
        site.hand_over(&secret, 0o644)?;
        Ok(site)
    }

    /// The document root.
    pub fn root(&self) -> PathBuf {
        self.beside("root")
    }

    /// A place beside the document root.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A place below the document root.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// A random name of letters, so that it needs no escaping anywhere.
    pub fn name(&self) -> String {
        let mut rng = self.rng.borrow_mut();
        (0..12).map(|_| rng.lowercase()).collect()
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

    /// Puts a file below the root, readable by all, with the folders on the way.
    pub fn add(&self, name: &str, content: &[u8]) -> io::Result<File> {
        let path = self.path(name);
        let root = self.root();
        for folder in path
            .ancestors()
            .skip(1)
            .take_while(|folder| **folder != root)
        {
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

    /// Puts a small page with random text below the root.
    pub fn add_page(&self, name: &str) -> io::Result<File> {
        let page = format!(
            "<!DOCTYPE html>\n<title>{}</title>\n{}\n",
            self.name(),
            self.name()
        );
        self.add(name, page.as_bytes())
    }

    /// Puts a file of that many zero bytes below the root; it takes no room on the disk.
    pub fn add_large(&self, name: &str, length: u64) -> io::Result<()> {
        self.add(name, b"")?;
        self.resize(name, length)
    }

    /// Cuts or lengthens a file below the root.
    pub fn resize(&self, name: &str, length: u64) -> io::Result<()> {
        fs::OpenOptions::new()
            .write(true)
            .open(self.path(name))?
            .set_len(length)
    }

    /// Sets what the owner of a file below the root allows, as chmod(1) does.
    pub fn set_mode(&self, name: &str, mode: u32) -> io::Result<()> {
        self.hand_over(&self.path(name), mode)
    }

    /// Sets the owner of a file or folder, and what that owner allows.
    fn hand_over(&self, path: &Path, mode: u32) -> io::Result<()> {
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        self.owner.map_or(Ok(()), |owner| owner.give(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_site_and_another_another() {
        let page = |seed| Site::new(Rng::with_seed(seed), None).unwrap().page;
        assert_eq!(page(1).name, page(1).name);
        assert_eq!(page(1).content, page(1).content);
        assert_ne!(page(1).name, page(2).name);
    }
}
