//! The user that a program under test runs as.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, chown, lchown};
use std::path::Path;
use std::process::Command;

/// A user of this system (passwd(5)).
#[derive(Clone, Copy, Debug)]
pub struct Account {
    pub uid: u32,
    pub gid: u32,
}

/// Whether this process runs as root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

impl Account {
    /// The user without rights, which every system has by that number.
    pub const NOBODY: Account = Account {
        uid: 65534,
        gid: 65534,
    };

    /// Looks up a user by name. Only root may run programs as another user, and root itself is
    /// refused. The error is a message for the person who gave `--user`.
    pub fn named(name: &str) -> Result<Account, String> {
        if !is_root() {
            return Err(format!(
                "Only root can run servers as another user. Leave out `--user {name}`."
            ));
        }
        let (uid, gid) = (id("-u", name)?, id("-g", name)?);
        if uid == 0 {
            return Err(format!(
                "`--user {name}` is root, which protects nothing. Name another user."
            ));
        }
        Ok(Account { uid, gid })
    }

    /// Lets this user read a folder that root owns, and nobody else.
    pub fn share(&self, folder: &Path) -> io::Result<()> {
        chown(folder, Some(0), Some(self.gid))?;
        fs::set_permissions(folder, Permissions::from_mode(0o750))
    }

    /// Makes this user the owner of a file or folder, or of a link, not of what it leads to.
    pub fn give(&self, path: &Path) -> io::Result<()> {
        lchown(path, Some(self.uid), Some(self.gid))
    }
}

/// Asks id(1), which also knows users that are in no local file.
fn id(option: &str, name: &str) -> Result<u32, String> {
    let output = Command::new("id").args([option, "--", name]).output();
    let output = output.map_err(|error| format!("Cannot run `id`: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| {
        format!("There is no user `{name}`. Create one: useradd --no-create-home {name}")
    })
}
