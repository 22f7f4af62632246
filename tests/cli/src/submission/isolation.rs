//! Keeps compilers, which read the files that a source names, and the `build` of a submission from the
//! instructor's files, the network, and more than their share of the machine. Programs of util-linux do
//! it; what they can't do here is said.

use harness::account::{self, Account};
use harness::process::{FILE_LIMIT, PROCESS_LIMIT};
use harness::program::on_path;
use std::process::{Command, Stdio};

/// The most address space that the compiler may use.
const MEMORY_LIMIT: u64 = 8 * 1024 * 1024 * 1024;

/// The variables of the wrapper: whether it compiles a submission, and as whom.
pub const IS_SUBMISSION: &str = "LAB_SUBMISSION";
pub const UID: &str = "LAB_UID";
pub const GID: &str = "LAB_GID";

/// How the compiler is isolated.
#[derive(Debug, Default)]
pub struct Isolation {
    /// Commands that each run the rest of the line.
    commands: Vec<String>,
    /// What isn't isolated, a line for each.
    pub gaps: Vec<String>,
    /// Why nothing can be compiled as the user, if so.
    pub error: Option<String>,
}

impl Isolation {
    /// Finds out what this system allows.
    pub fn detect(user: Option<Account>) -> Isolation {
        let mut isolation = Isolation::default();
        if on_path("prlimit").is_some() {
            let mut limits = format!("prlimit --as={MEMORY_LIMIT} --fsize={FILE_LIMIT} --core=0");
            if user.is_some() {
                limits += &format!(" --nproc={PROCESS_LIMIT}");
            }
            isolation.commands.push(limits);
        } else {
            let gap = "There is no prlimit(1), so the memory of builds is not limited.";
            isolation.gaps.push(gap.to_string());
        }
        // Without root, only a user namespace allows it.
        let mut network = "unshare --net".to_string();
        if !account::is_root() {
            network += " --user --map-current-user";
        }
        if works(&network) {
            isolation.commands.push(network);
        } else {
            let gap = "This system doesn't allow `unshare --net`, so builds have a network.";
            isolation.gaps.push(gap.to_string());
        }
        match user {
            None => isolation.gaps.push(
                "Submissions are compiled and run as the current user, so they can read and change \
                 your files. As root, add --user NAME."
                    .to_string(),
            ),
            Some(Account { uid, gid }) => {
                let ids = |uid: &str, gid: &str| {
                    format!("setpriv --reuid={uid} --regid={gid} --clear-groups --no-new-privs")
                };
                if !works(&ids(&uid.to_string(), &gid.to_string())) {
                    let error = "Cannot compile as another user: setpriv(1) of util-linux fails.";
                    isolation.error = Some(error.to_string());
                }
                isolation.commands.push(ids(&format!("${UID}"), &format!("${GID}")));
            }
        }
        isolation
    }

    /// A script that runs the compiler isolated. Cargo runs it for the packages of a workspace, not
    /// for their dependencies.
    pub fn wrapper(&self) -> String {
        let commands = self.commands.join(" ");
        format!("#!/bin/sh\n[ \"${IS_SUBMISSION}\" ] || exec \"$@\"\nexec {commands} \"$@\"\n")
    }
}

/// Whether a command succeeds in running `true`.
fn works(command: &str) -> bool {
    let mut words = command.split(' ').chain(["true"]);
    let mut command = Command::new(words.next().unwrap_or_default());
    command
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    #[cfg_attr(
        not(all(lab_ci, target_os = "linux")),
        ignore = "changes the user, as root on Linux: LAB_CI=1 runs it"
    )]
    fn compiler_has_no_root_and_no_network() {
        let folder = tempfile::tempdir().unwrap();
        let isolation = Isolation::detect(Some(Account::NOBODY));
        assert_eq!(isolation.error, None);
        let wrapper = folder.path().join("wrapper");
        fs::write(&wrapper, isolation.wrapper()).unwrap();
        let run = |script: &str, is_submission: bool| {
            let mut command = Command::new("sh");
            command.arg(&wrapper).args(["sh", "-c", script]);
            if is_submission {
                let id = Account::NOBODY.uid.to_string();
                command.env(IS_SUBMISSION, "1").env(UID, &id).env(GID, &id);
            }
            String::from_utf8(command.output().unwrap().stdout).unwrap()
        };
        let ids = "id -u; id -G; ulimit -v";
        assert_eq!(run(ids, true), "65534\n65534\n8388608\n");
        assert!(run("id -u", false) != "65534\n");
        // Containers may forbid it; then the command says so.
        let names = "tail -n +3 /proc/net/dev | grep -vc lo:";
        assert_eq!(run(names, true) == "0\n", isolation.gaps.is_empty());
    }
}
