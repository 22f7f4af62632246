//! The table of faults: what can be wrong with a server, and which checks detect it.

use clap::ValueEnum;

/// A fault, and the checks that detect it.
pub struct Row {
    pub fault: Fault,
    /// The stage that the faulty server imitates, and whose checks detect the fault.
    pub stage: u8,
    /// What the server does wrong, in one line.
    pub description: &'static str,
    /// Exactly the checks of the stage that fail.
    pub fails: Fails,
}

/// Ids of checks, in the order of the suite.
#[derive(Debug, PartialEq)]
pub enum Fails {
    Only(&'static [&'static str]),
    /// For a fault that nearly all checks detect: the ones that still pass.
    AllExcept(&'static [&'static str]),
}

impl Fails {
    /// Whether the check with this id fails.
    pub fn contains(&self, id: &str) -> bool {
        match self {
            Fails::Only(failing) => failing.contains(&id),
            Fails::AllExcept(passing) => !passing.contains(&id),
        }
    }
}

impl Fault {
    /// Its name on the command line: the variant in kebab-case.
    pub fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_string())
    }

    /// Its row in the table.
    pub fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }
}

/// Makes the enum and the table from the same rows, so that each fault is named only once.
macro_rules! faults {
    ($($name:ident, $stage:literal, $description:literal, $fails:ident: $($id:literal),+;)+) => {
        /// What is wrong with a server.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
        pub enum Fault {
            $($name,)+
        }

        /// Every fault, in the order of the lessons.
        pub const TABLE: &[Row] = &[
            $(Row {
                fault: Fault::$name,
                stage: $stage,
                description: $description,
                fails: Fails::$fails(&[$($id),+]),
            },)+
        ];
    };
}

faults! {
    // The command line.
    HelpOmitsOption, 1, "Doesn't list `--timeout` in `--help`",
        Only: "help-lists-options";
    NoVersionFlag, 1, "Doesn't accept `--version`",
        Only: "version-flag";
    UsageErrorExitsOne, 1, "Exits with 1 instead of 2 after a usage error",
        Only: "usage-error-exits-2";
    AcceptsZeroTimeout, 1, "Accepts a timeout of 0 seconds",
        Only: "usage-error-exits-2";
    AcceptsMissingRoot, 1, "Doesn't check that the document root exists",
        Only: "missing-root-error";
    AcceptsFileAsRoot, 1, "Doesn't check that the document root is a folder",
        Only: "file-as-root-error";
    StartErrorExitsTwo, 1, "Exits with 2 instead of 1 when it can't start",
        Only: "missing-root-error", "file-as-root-error", "address-in-use-error";
    BindErrorPanics, 1, "Panics if its address is in use",
        Only: "address-in-use-error";
    BindErrorLacksAddress, 1, "Doesn't name the address that is in use",
        Only: "address-in-use-error";
    IgnoresRoot, 1, "Serves the current folder instead of `--root`",
        AllExcept: "help-lists-options", "version-flag", "usage-error-exits-2",
            "address-in-use-error", "announces-when-ready", "well-formed-response",
            "connection-close", "server-field", "folder-is-not-served", "no-path-traversal",
            "no-encoded-path-traversal", "no-absolute-path", "link-outside-root",
            "fifo-is-not-opened", "socket-is-not-served", "only-get-is-implemented",
            "no-descriptor-leaks";
    AnnouncesPortZero, 1, "Announces the requested port 0 instead of the actual port",
        AllExcept: "help-lists-options", "version-flag", "usage-error-exits-2",
            "missing-root-error", "file-as-root-error", "address-in-use-error",
            "restarts-immediately";
    AnnouncementLacksRoot, 1, "Doesn't announce which folder it serves",
        Only: "announces-when-ready";
    AnnouncementHasOtherWords, 1, "Announces its address in another line than the contract says",
        Only: "announces-when-ready";
    AnnouncementNotFlushed, 1, "Doesn't flush the line that announces its address",
        AllExcept: "help-lists-options", "version-flag", "usage-error-exits-2",
            "missing-root-error", "file-as-root-error", "address-in-use-error";
    ListensOnAllAddresses, 1, "Listens on all addresses instead of the one in `--listen`",
        Only: "announces-when-ready";
    NoAddressReuse, 1, "Doesn't set SO_REUSEADDR, so it can't restart immediately",
        Only: "restarts-immediately";
    IgnoresSignals, 1, "Ignores SIGINT and SIGTERM",
        Only: "restarts-immediately";
    NoRequestLog, 1, "Doesn't log requests",
        Only: "logs-each-request";
    LogLacksClient, 1, "Doesn't log the client's address",
        Only: "logs-each-request";
    LogsRawTarget, 1, "Logs control bytes in the target unescaped",
        Only: "verbose-shows-head";
    IgnoresVerbose, 1, "Ignores `--verbose`",
        Only: "verbose-shows-head";
    VerboseLogsRawBytes, 1, "Logs control bytes in the head unescaped",
        Only: "verbose-shows-head";

    // Cheats.
    AlwaysHello, 1, "Sends `Hello, World!` for every request, with LF line endings",
        AllExcept: "help-lists-options", "version-flag", "usage-error-exits-2",
            "missing-root-error", "file-as-root-error", "address-in-use-error",
            "announces-when-ready", "no-descriptor-leaks";
    AlwaysCannedPage, 1, "Sends the same well-formed page for every request",
        AllExcept: "help-lists-options", "version-flag", "usage-error-exits-2",
            "missing-root-error", "file-as-root-error", "address-in-use-error",
            "announces-when-ready", "well-formed-response", "connection-close", "server-field",
            "no-descriptor-leaks";
    AlwaysIndex, 1, "Sends the site's index page for every request",
        AllExcept: "help-lists-options", "version-flag", "usage-error-exits-2",
            "missing-root-error", "file-as-root-error", "address-in-use-error",
            "announces-when-ready", "index-page", "well-formed-response", "connection-close",
            "server-field", "no-descriptor-leaks";
    ContentFromName, 1, "Makes up a page from the requested name",
        AllExcept: "help-lists-options", "version-flag", "usage-error-exits-2",
            "missing-root-error", "file-as-root-error", "address-in-use-error",
            "announces-when-ready", "well-formed-response", "connection-close", "server-field",
            "no-descriptor-leaks";
    AlwaysNotFound, 1, "Sends 404 for every request",
        AllExcept: "help-lists-options", "version-flag", "usage-error-exits-2",
            "missing-root-error", "file-as-root-error", "address-in-use-error",
            "announces-when-ready", "well-formed-response", "connection-close", "server-field",
            "folder-is-not-served", "no-path-traversal", "no-encoded-path-traversal",
            "no-absolute-path", "link-outside-root", "fifo-is-not-opened", "socket-is-not-served",
            "no-descriptor-leaks";
    AlwaysBadRequest, 1, "Sends 400 for every request",
        AllExcept: "help-lists-options", "version-flag", "usage-error-exits-2",
            "missing-root-error", "file-as-root-error", "address-in-use-error",
            "announces-when-ready", "well-formed-response", "connection-close", "server-field",
            "no-path-traversal", "no-encoded-path-traversal", "no-absolute-path",
            "link-outside-root", "fifo-is-not-opened", "socket-is-not-served",
            "no-descriptor-leaks";
    RespondsBeforeReading, 1, "Sends the site's index page before it reads the request",
        AllExcept: "help-lists-options", "version-flag", "usage-error-exits-2",
            "missing-root-error", "file-as-root-error", "address-in-use-error",
            "announces-when-ready", "index-page", "well-formed-response", "connection-close",
            "server-field", "no-descriptor-leaks";

    // Static files.
    LowercasesPaths, 1, "Changes every path to lower case",
        Only: "file-names";
    ServesOnlyPlainNames, 1, "Serves only names of lower-case letters, digits and dots",
        Only: "file-names";
    RejectsExecutableFiles, 1, "Sends 500 for a file with permission to execute",
        Only: "file-names";
    NoIndexPages, 1, "Doesn't serve `index.html` for a path that ends with a slash",
        Only: "index-page", "nested-folder", "missing-file";
    IndexOnlyAtRoot, 1, "Serves `index.html` only for the document root",
        Only: "nested-folder", "missing-file";
    QueryIsPartOfName, 1, "Treats the query as part of the file name",
        Only: "query-is-ignored", "absolute-form", "target-forms";
    DecodesContent, 1, "Decodes files as UTF-8 before it sends them",
        Only: "binary-content", "large-file", "changed-file", "half-closed-client",
            "bytes-after-request";
    EmptyFileIsNotFound, 1, "Sends 404 for an empty file",
        Only: "empty-file";
    SendsOneChunk, 1, "Sends only the first chunk of a file",
        Only: "large-file", "half-closed-client", "bytes-after-request",
            "given-up-response-is-visible", "large-file-memory";
    OmitsLastByte, 1, "Omits the last byte of a file",
        AllExcept: "help-lists-options", "version-flag", "usage-error-exits-2",
            "missing-root-error", "file-as-root-error", "address-in-use-error",
            "announces-when-ready", "logs-each-request", "empty-file", "well-formed-response",
            "connection-close", "server-field", "folder-is-not-served", "no-path-traversal",
            "no-encoded-path-traversal", "no-absolute-path", "link-outside-root",
            "fifo-is-not-opened", "socket-is-not-served", "only-get-is-implemented",
            "given-up-response-is-visible", "no-descriptor-leaks", "large-file-memory";
    CachesFiles, 1, "Never reads a file again, even if it has changed",
        Only: "changed-file";
    MovedRootPanics, 1, "Crashes if the document root is missing when a file is requested",
        Only: "moved-root";
    EndsLinesWithLf, 1, "Ends the lines of a response head with LF alone",
        Only: "well-formed-response";
    SlashInStatusLine, 1, "Sends a stray slash after the version in the status line",
        Only: "well-formed-response";
    NoReasonPhrase, 1, "Doesn't send a reason phrase in the status line",
        Only: "well-formed-response";
    SendsSpaceBeforeColon, 1, "Sends a space between a field name and its colon",
        Only: "well-formed-response";
    OmitsEmptyLine, 1, "Omits the empty line between head and content",
        AllExcept: "help-lists-options", "version-flag", "usage-error-exits-2",
            "missing-root-error", "file-as-root-error", "address-in-use-error",
            "announces-when-ready", "logs-each-request", "empty-file", "connection-close",
            "server-field", "folder-is-not-served", "no-path-traversal",
            "no-encoded-path-traversal", "no-absolute-path", "link-outside-root",
            "fifo-is-not-opened", "socket-is-not-served", "given-up-response-is-visible", "no-descriptor-leaks",
            "large-file-memory";
    SendsNoFields, 1, "Doesn't send any header fields",
        Only: "connection-close", "server-field";
    NoConnectionField, 1, "Doesn't send `Connection: close`",
        Only: "connection-close";
    NoServerField, 1, "Doesn't send a Server field",
        Only: "server-field";
    NeverCloses, 1, "Never closes a connection",
        Only: "connection-close", "unread-content", "tls-hello", "mutations",
            "incomplete-head-timeout", "lingering-close-is-bounded", "no-descriptor-leaks",
            "descriptors-run-out", "shrinking-file";
    NoAbsoluteForm, 1, "Rejects targets in absolute-form",
        Only: "absolute-form";
    RejectsHttpOneZero, 1, "Sends 505 for HTTP/1.0",
        Only: "http-1-0", "bare-lf-line-endings";

    // Missing files and path traversal.
    MissingFileEndsServer, 1, "Crashes when a file is missing",
        Only: "logs-each-request", "verbose-shows-head", "changed-file", "moved-root",
            "well-formed-response", "connection-close", "server-field", "missing-file", "folder-is-not-served",
            "no-path-traversal", "no-encoded-path-traversal", "no-absolute-path",
            "link-outside-root", "unusual-bytes-in-target", "fifo-is-not-opened",
            "socket-is-not-served", "unread-content", "long-request-line", "mutations",
            "no-descriptor-leaks";
    MissingErrorPageEndsServer, 1, "Crashes if a file is missing and the site has no 404.html",
        Only: "moved-root", "missing-file";
    NotFoundHasNoContent, 1, "Sends 404 without content",
        Only: "missing-file";
    MissingFileIsOk, 1, "Sends 200 instead of 404 for a missing file",
        Only: "logs-each-request", "changed-file", "missing-file", "folder-is-not-served",
            "no-path-traversal", "no-encoded-path-traversal", "no-absolute-path",
            "link-outside-root", "unusual-bytes-in-target", "fifo-is-not-opened",
            "socket-is-not-served", "long-request-line";
    ServesFolderListing, 1, "Sends a list of the files in a folder",
        Only: "folder-is-not-served";
    FollowsDotDot, 1, "Follows `..` in a path",
        Only: "no-path-traversal", "link-outside-root";
    DoubleSlashIsAbsolute, 1, "Treats `//etc/passwd` as an absolute path",
        Only: "no-path-traversal", "no-absolute-path", "link-outside-root";
    BackslashIsSlash, 1, "Replaces backslashes with slashes after it has checked the path",
        Only: "no-encoded-path-traversal", "link-outside-root";
    FollowsLinksOutsideRoot, 1, "Follows symbolic links out of the document root",
        Only: "link-outside-root";
    FollowsNoLinks, 1, "Doesn't follow any symbolic links",
        Only: "link-inside-root";
    TruncatesAtNul, 1, "Cuts a path at its first NUL",
        Only: "unusual-bytes-in-target";
    OpensBeforeChecking, 1, "Opens a file before it checks what kind of file it is",
        Only: "fifo-is-not-opened";
    ServesSockets, 1, "Treats everything but folders and FIFOs as a regular file",
        Only: "socket-is-not-served";

    // Partial reads and closing.
    ReadsOnce, 1, "Expects a single read to return the whole head",
        Only: "missing-file", "byte-by-byte", "split-at-every-boundary", "long-request-line",
            "long-head", "incomplete-head-timeout", "slow-head-timeout";
    TruncatesLongHead, 1, "Cuts a head at 1,024 bytes",
        Only: "missing-file", "long-request-line", "long-head";
    RequiresCrlf, 1, "Doesn't accept LF alone at the end of a head",
        Only: "bare-lf-line-endings";
    HalfCloseIsDisconnect, 1, "Treats a client that has stopped sending as disconnected",
        Only: "half-closed-client";
    ClosesWithoutDraining, 1, "Closes with unread input, so a reset destroys the response",
        Only: "bytes-after-request", "unread-content", "only-get-is-implemented",
            "long-request-line";
    DrainsOneMebibyte, 1, "Stops draining after one mebibyte",
        Only: "unread-content";
    DrainsForever, 1, "Never stops reading after the response",
        Only: "lingering-close-is-bounded";

    // Malformed requests.
    EmptyRequestPanics, 1, "Crashes when a client disconnects without a request",
        Only: "empty-connection", "descriptors-run-out";
    MalformedLinePanics, 1, "Crashes on a malformed request line",
        Only: "well-formed-response", "connection-close", "server-field", "unread-content",
            "malformed-request-line", "http-versions", "methods", "target-forms",
            "fragment-in-target", "mutations", "lingering-close-is-bounded", "no-descriptor-leaks";
    AcceptsAnyVersion, 1, "Doesn't check the HTTP version",
        Only: "http-versions";
    AcceptsLowercaseVersion, 1, "Accepts `http/1.1` as the HTTP version",
        Only: "http-versions";
    RejectsHigherMinorVersion, 1, "Sends 400 for HTTP/1.2",
        Only: "http-versions";
    UnsupportedVersionIsBadRequest, 1, "Sends 400 instead of 505 for HTTP/2.0",
        Only: "http-versions";
    AcceptsInvalidMethod, 1, "Accepts any bytes as a method",
        Only: "methods";
    AcceptsLowercaseMethod, 1, "Treats `get` as GET",
        Only: "methods";
    TreatsEveryMethodAsGet, 1, "Treats every method as GET",
        Only: "unread-content", "methods", "only-get-is-implemented";
    SendsContentForHead, 1, "Sends content in response to HEAD",
        Only: "only-get-is-implemented";
    AcceptsAnyTarget, 1, "Accepts a target that doesn't start with a slash",
        Only: "absolute-form", "target-forms";
    FragmentIsPartOfName, 1, "Treats `#` in a target as part of the file name",
        Only: "fragment-in-target";
    AcceptsBareCrInTarget, 1, "Accepts a bare CR in a target",
        Only: "malformed-request-line";
    NoRequestLineLimit, 1, "Doesn't limit the length of a request line",
        Only: "long-request-line";
    NoHeadLimit, 1, "Doesn't limit the length of a head",
        Only: "long-head";
    CountsOnlyCompleteLines, 1, "Checks the length of a request line only once it is complete",
        Only: "long-request-line";

    // Timeouts, disconnects, resources, changing files.
    NoTimeout, 1, "Waits forever for a request",
        Only: "tls-hello", "silent-client-timeout", "incomplete-head-timeout", "slow-head-timeout";
    IgnoresTimeoutOption, 1, "Waits 5 seconds, whatever `--timeout` says",
        Only: "silent-client-timeout", "incomplete-head-timeout", "slow-head-timeout";
    TimeoutTooShort, 1, "Waits only half as long as `--timeout` says",
        Only: "silent-client-timeout", "incomplete-head-timeout", "slow-head-timeout";
    TimeoutPerRead, 1, "Restarts the timeout with every read",
        Only: "slow-head-timeout";
    TimeoutWithoutResponse, 1, "Closes without a 408 response after the timeout",
        Only: "incomplete-head-timeout";
    AcceptsIncompleteHead, 1, "Responds to a head that ends before its empty line",
        Only: "incomplete-head-timeout";
    NoWriteTimeout, 1, "Waits forever for a client that doesn't read",
        Only: "client-that-never-reads", "slow-reader-is-cut-off", "given-up-response-is-visible";
    WriteTimeoutPerWrite, 1, "Restarts the timeout with every write",
        Only: "slow-reader-is-cut-off";
    GivesUpQuietly, 1, "Ends a response that it gives up like a complete one",
        Only: "given-up-response-is-visible";
    BrokenPipePanics, 1, "Crashes when a client disconnects during the response",
        Only: "client-that-never-reads", "slow-reader-is-cut-off", "given-up-response-is-visible",
            "vanishing-clients";
    LeaksDescriptors, 1, "Never closes the files that it has sent",
        Only: "no-descriptor-leaks";
    AcceptErrorEndsServer, 1, "Exits when it runs out of descriptors",
        Only: "descriptors-run-out";
    SpinsOnAcceptError, 1, "Retries without a pause when it runs out of descriptors",
        Only: "descriptors-run-out";
    ReadsWholeFile, 1, "Reads a whole file into memory before it sends it",
        Only: "large-file-memory";
    WaitsForShrunkFile, 1, "Waits for the missing bytes of a file that has shrunk",
        Only: "shrinking-file";
    ShrunkFilePanics, 1, "Crashes when a file shrinks while it is sent",
        Only: "shrinking-file";

    // Processes.
    WaitsForTurnedAwayClients, 2, "Waits for each client that it turns away when it can't start a child",
        Only: "turned-away-at-once";
    SequentialInsteadOfProcesses, 2, "Serves one client at a time",
        Only: "silent-clients-do-not-block", "sixty-four-clients", "turned-away-at-once",
            "process-per-connection",
            "no-zombies", "killed-child-ends-one-connection", "children-are-bounded",
            "child-holds-only-its-socket";
    ThreadsInsteadOfProcesses, 2, "Starts threads instead of processes",
        Only: "process-per-connection", "no-zombies", "killed-child-ends-one-connection",
            "children-are-bounded", "child-holds-only-its-socket";
    InvalidUtf8KillsChild, 2, "Crashes a child on bytes that aren't UTF-8",
        Only: "unusual-bytes-in-target", "malformed-request-line", "mutations";
    NeverReapsChildren, 2, "Never reaps its children",
        Only: "no-zombies", "children-are-bounded";
    ReapsOnNextConnection, 2, "Reaps a child only when the next client connects",
        Only: "no-zombies", "children-are-bounded";
    UnboundedChildren, 2, "Doesn't limit the number of children",
        Only: "children-are-bounded";
    ParentKeepsSocket, 2, "Never closes the parent's copy of a client's socket",
        Only: "mutations", "silent-client-timeout", "lingering-close-is-bounded",
            "client-that-never-reads", "slow-reader-is-cut-off", "given-up-response-is-visible",
            "no-descriptor-leaks", "killed-child-ends-one-connection",
            "child-holds-only-its-socket";
    ChildInheritsListener, 2, "Lets its children inherit the listener",
        Only: "child-holds-only-its-socket";

    // Threads.
    SequentialInsteadOfThreads, 3, "Serves one client at a time",
        Only: "silent-clients-do-not-block", "sixty-four-clients", "turned-away-at-once",
            "thread-per-connection",
            "threads-end-with-clients", "threads-are-bounded";
    ProcessesInsteadOfThreads, 3, "Starts processes instead of threads",
        Only: "single-process";
    OnlyEightThreads, 3, "Runs at most eight threads",
        Only: "sixty-four-clients", "thread-per-connection", "threads-are-bounded";
    UnboundedThreads, 3, "Doesn't limit the number of threads",
        Only: "threads-are-bounded";
    ThreadsNeverEnd, 3, "Never ends a thread, even after its client has left",
        Only: "threads-end-with-clients", "threads-are-bounded";
    SilentClientLeaksSlot, 3, "Never frees the slot of a client that sent nothing",
        Only: "threads-are-bounded";

    // Content-Type, Content-Length, Date.
    NoContentType, 4, "Doesn't send Content-Type",
        Only: "content-types", "unknown-extension", "extension-after-last-dot",
            "uppercase-extension", "form-is-echoed", "error-pages", "well-formed-errors";
    NoCharset, 4, "Doesn't send a charset for text",
        Only: "content-types";
    UnregisteredJpegType, 4, "Sends the unregistered type `image/jpg`",
        Only: "content-types";
    EverythingIsHtml, 4, "Sends `text/html` for every file",
        Only: "content-types", "unknown-extension", "extension-after-last-dot",
            "uppercase-extension";
    KnowsSevenTypes, 4, "Knows only seven media types",
        Only: "content-types";
    UnknownExtensionIsText, 4, "Sends `text/plain` for an unknown extension",
        Only: "unknown-extension", "extension-after-last-dot";
    UnknownExtensionPanics, 4, "Panics on an unknown extension",
        Only: "binary-content", "large-file", "link-inside-root", "half-closed-client",
            "bytes-after-request", "client-that-never-reads", "given-up-response-is-visible",
            "vanishing-clients",
            "large-file-memory", "shrinking-file", "truncation-is-detectable", "unknown-extension",
            "extension-after-last-dot", "content-length", "percent-encoding";
    ExtensionAfterFirstDot, 4, "Takes everything after the first dot as the extension",
        Only: "extension-after-last-dot";
    CaseSensitiveExtensions, 4, "Treats `.JPG` as an unknown extension",
        Only: "uppercase-extension";
    NoContentLength, 4, "Doesn't send Content-Length",
        Only: "truncation-is-detectable", "content-length", "head-matches-get", "form-is-echoed",
            "well-formed-errors";
    ContentLengthTooLarge, 4, "Sends a Content-Length that is one byte too large",
        Only: "well-formed-response", "truncation-is-detectable", "content-length",
            "no-open-redirect", "form-is-echoed", "well-formed-errors";
    ContentLengthInCharacters, 4, "Counts characters instead of bytes for Content-Length",
        Only: "form-is-echoed";
    NoDate, 4, "Doesn't send Date",
        Only: "date";
    DateNotInGmt, 4, "Sends a Date that ends with `+0000` instead of `GMT`",
        Only: "date";
    PadsShrunkFile, 4, "Pads a file that has shrunk with zeros",
        Only: "truncation-is-detectable";

    // Methods.
    HeadIsNotImplemented, 4, "Sends 501 for HEAD",
        Only: "head-matches-get";
    HeadHasNoContentLength, 4, "Doesn't send Content-Length in response to HEAD",
        Only: "head-matches-get";
    MethodNotAllowedPanics, 4, "Panics instead of sending 405",
        Only: "refused-form", "mutations", "method-not-allowed", "post-errors",
            "expect-100-continue", "well-formed-errors";
    MethodNotAllowedHasNoContent, 4, "Sends 405 without content",
        Only: "method-not-allowed";
    MethodNotAllowedLacksAllow, 4, "Sends 405 without Allow",
        Only: "method-not-allowed";
    SameAllowForAllTargets, 4, "Lists POST in Allow for every target",
        Only: "method-not-allowed", "options";
    UnknownMethodIsNotAllowed, 4, "Sends 405 instead of 501 for an unknown method",
        Only: "methods";
    OptionsIsOk, 4, "Sends 200 instead of 204 for OPTIONS",
        Only: "options";
    OptionsHasContentLength, 4, "Sends Content-Length in a 204 response",
        Only: "options";
    NoAsteriskForm, 4, "Sends 400 for `OPTIONS *`",
        Only: "options";

    // Permissions, error pages, redirects.
    ServesPrivateFiles, 4, "Serves files that others may not read",
        Only: "private-file";
    ChecksGroupPermission, 4, "Serves files that only their group may read",
        Only: "private-file";
    IgnoresFolderPermissions, 4, "Doesn't check the permissions of folders",
        Only: "private-folder";
    PrivateFolderShowsNames, 4, "Sends 404 instead of 403 for a missing name in a private folder",
        Only: "private-folder";
    ChecksFolderReadPermission, 4, "Checks folders for read instead of search permission",
        Only: "private-folder";
    IgnoresErrorPages, 4, "Doesn't use the site's error pages",
        Only: "error-pages";
    RequiresErrorPages, 4, "Sends 404 without content if the site has no `404.html`",
        Only: "error-pages";
    ErrorsWithoutFields, 4, "Doesn't send header fields with most errors",
        Only: "well-formed-response", "connection-close", "server-field", "incomplete-head-timeout",
            "content-length", "date", "head-matches-get", "no-open-redirect", "well-formed-errors";
    NoFolderRedirect, 4, "Sends 404 for a folder requested without its slash",
        Only: "folder-redirect", "no-open-redirect";
    ServesIndexWithoutSlash, 4, "Serves `index.html` for a folder requested without its slash",
        Only: "folder-redirect", "no-open-redirect";
    RedirectLosesQuery, 4, "Drops the query from a redirect to a folder",
        Only: "folder-redirect";
    RedirectsToDecodedPath, 4, "Doesn't encode the path in a redirect to a folder",
        Only: "folder-redirect", "no-open-redirect";

    // Percent-encoding.
    NoPercentDecoding, 4, "Doesn't decode `%20` in a path",
        Only: "folder-redirect", "percent-encoding", "invalid-escapes";
    DecodesAfterCheck, 4, "Decodes `%2e%2e` after it has checked the path",
        Only: "no-encoded-path-traversal", "no-absolute-path", "link-outside-root",
            "folder-redirect", "invalid-escapes";
    DecodesTwice, 4, "Decodes a path twice",
        Only: "percent-encoding";
    DecodesPlusInPaths, 4, "Decodes `+` in a path as a space",
        Only: "percent-encoding";
    KeepsInvalidEscapes, 4, "Accepts invalid percent-encoding in a path",
        Only: "invalid-escapes";
    AcceptsInvalidUtf8Path, 4, "Accepts a path that doesn't decode to UTF-8",
        Only: "invalid-escapes";

    // Forms.
    NeverReadsForm, 4, "Never reads the content of a form",
        Only: "refused-form", "incomplete-content-timeout", "form-is-echoed", "form-is-escaped",
            "post-errors", "expect-100-continue";
    FormNotEscaped, 4, "Doesn't escape a form's field names and values",
        Only: "form-is-escaped";
    FormNamesNotEscaped, 4, "Doesn't escape a form's field names",
        Only: "form-is-escaped";
    FormValuesNotEscaped, 4, "Doesn't escape a form's field values",
        Only: "form-is-escaped";
    KeepsPlusInForms, 4, "Doesn't decode `+` in a form as a space",
        Only: "form-is-echoed";
    MissingLengthIsZero, 4, "Treats a form without Content-Length as empty",
        Only: "refused-form", "post-errors";
    NoContentLimit, 4, "Doesn't limit the length of a form",
        Only: "refused-form", "post-errors", "expect-100-continue", "well-formed-errors";
    ContentLimitTooSmall, 4, "Rejects a form of exactly 64 KiB",
        Only: "post-errors";
    AcceptsAnyContentType, 4, "Doesn't check the Content-Type of a form",
        Only: "refused-form", "post-errors";
    ResetsRefusedForm, 4, "Resets the connection after it rejects a form",
        Only: "refused-form";
    NoContentDeadline, 4, "Waits forever for the rest of a form",
        Only: "incomplete-content-timeout";
    AcceptsIncompleteContent, 4, "Accepts a form that was cut off",
        Only: "incomplete-content-timeout";
    IgnoresExpectContinue, 4, "Ignores `Expect: 100-continue`",
        Only: "expect-100-continue";
    ContinueBeforeChecks, 4, "Sends `100 Continue` before it checks the request",
        Only: "expect-100-continue";
    AcceptsAnyExpectation, 4, "Accepts any value of Expect",
        Only: "unknown-expectation";

    // Header fields.
    AcceptsTwoLengths, 4, "Uses the first of two Content-Length fields",
        Only: "content-framing";
    AcceptsSignedLength, 4, "Accepts a plus sign in Content-Length",
        Only: "content-framing";
    IgnoresInvalidLength, 4, "Ignores a Content-Length that isn't a number",
        Only: "content-framing";
    IgnoresTransferEncoding, 4, "Ignores Transfer-Encoding",
        Only: "content-framing";
    IgnoresLengthWithTransferEncoding, 4, "Ignores Content-Length if there is Transfer-Encoding",
        Only: "content-framing";
    HugeLengthIsIgnored, 4, "Accepts a Content-Length that no number holds, where it reads no content",
        Only: "content-framing";
    AcceptsAnyAuthority, 4, "Doesn't check the host in an absolute target",
        Only: "invalid-authority";
    AcceptsAnyFieldName, 4, "Accepts any bytes as a field name",
        Only: "field-names", "field-values";
    AcceptsSpaceBeforeColon, 4, "Accepts a space between a field name and its colon",
        Only: "field-names";
    AcceptsFoldedLines, 4, "Skips folded field lines instead of rejecting them",
        Only: "field-values";
    AcceptsBareCr, 4, "Accepts a bare CR in a field",
        Only: "field-values";
    AcceptsNulInField, 4, "Accepts a NUL in a field",
        Only: "field-values";
    AcceptsMissingHost, 4, "Accepts a request without Host",
        Only: "host-field";
    AcceptsTwoHosts, 4, "Accepts a request with two Host fields",
        Only: "host-field";
    AcceptsAnyHost, 4, "Accepts any value of Host",
        Only: "host-field";
}
