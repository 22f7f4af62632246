#!/usr/bin/env bash
# Prepares the image: a compiler, Rust, Python for the applications of stage 5, a user for the students'
# servers, and the built suite.
set -euo pipefail
source=${AUTOGRADER:-/autograder}/source
user=${GRADE_USER:-student}

if ! command -v cc >/dev/null || ! command -v curl >/dev/null || ! command -v python3 >/dev/null; then
  apt-get update
  apt-get install --yes --no-install-recommends gcc libc6-dev curl ca-certificates python3
fi
if ! command -v cargo >/dev/null; then
  curl --proto '=https' --tlsv1.2 --silent --show-error --fail https://sh.rustup.rs |
    sh -s -- -y --profile minimal
  export PATH=$HOME/.cargo/bin:$PATH
fi
if [ "$(id -u)" = 0 ] && ! id "$user" >/dev/null 2>&1; then
  useradd --no-create-home --shell /usr/sbin/nologin "$user"
fi

# The lab's own stage must get full points on this machine, or no grade could be trusted. This
# also builds what submissions need, so that grading works offline.
cd "$source/lab"
cargo build --quiet --package lab --package @NAME@
as_user=()
if [ "$(id -u)" = 0 ]; then as_user=(--user "$user"); fi
cargo lab grade @STAGE@ --submission @NAME@ "${as_user[@]}"

# Students' code must not be able to read the suite or the lab's own stage.
echo 'fn main() {}' >@NAME@/src/main.rs
find @NAME@/src -type f ! -name main.rs -delete
chmod -R go-rwx "$source"
