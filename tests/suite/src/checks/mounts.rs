//! The options of the gateway, and what is refused before the server starts.

use super::command_line::{EXIT_TIMEOUT, ensure_help_lists, exit_text};
use super::gateway::{STAGE_5, TEXT, add_script, require_python};
use crate::check::{Check, PREREQUISITE};
use harness::context::TestContext;
use harness::error::{CheckResult, ensure};
use harness::program::Program;
use std::path::Path;

/// What the checks of options have in common.
const OPTIONS: Check = Check {
    needs: &[PREREQUISITE],
    ..STAGE_5
};

pub const CHECKS: &[Check] = &[
    Check {
        id: "help-lists-gateway",
        must: "list the options of the gateway on `--help`: --cgi, --fastcgi, --spawn, --wsgi and others",
        why: "Nobody should have to read the source to mount an application.",
        hint: "The others are --workers, --env, --app-timeout and --max-content.",
        run: help_lists_gateway,
        ..OPTIONS
    },
    Check {
        id: "mount-errors",
        must: "exit 1 or 2 on an invalid or repeated prefix or a missing program, and name it",
        why: "Which of two applications answers must never depend on chance, and a 502 is found too late.",
        hint: "A prefix begins with a slash; one at its end makes no difference. Look before you announce.",
        run: mount_errors,
        ..OPTIONS
    },
    Check {
        id: "wsgi-import-error",
        must: "exit 1 or 2 if a module can't be imported or lacks the callable, and name it",
        why: "The worker knows why it failed, and the server must pass that on.",
        hint: "Announce the address when each worker has said that it is ready.",
        run: wsgi_import_error,
        ..OPTIONS
    },
    Check {
        id: "wsgi-needs-python",
        must: "exit 1 or 2 on --wsgi if PATH has no python3, and name it",
        why: "Each request would be a 502, and nothing in it would say what to install.",
        hint: "Look for the program before you start a worker, and say how to fix it.",
        run: wsgi_needs_python,
        ..OPTIONS
    },
];

/// Fails unless the program refuses these options with 1 or 2, in a line that names what is wrong.
fn ensure_refused(
    ctx: &TestContext,
    program: &Program,
    options: &[&str],
    named: &str,
) -> CheckResult {
    let root = ctx.site.root().display().to_string();
    let own = ["--listen", "127.0.0.1:0", "--root", &root];
    let output = program.run(&[&own, options].concat(), EXIT_TIMEOUT)?;
    let errors = String::from_utf8_lossy(&output.stderr);
    let is_refused = matches!(output.status.code(), Some(1 | 2))
        && output.stdout.is_empty()
        && errors.lines().any(|line| line.contains(named))
        && !errors.contains("panicked at");
    let expected = format!(
        "`{}` exits with 1 or 2 and a line with `{named}`",
        options.join(" ")
    );
    ensure(
        is_refused,
        expected,
        format!("{}\n{errors}", exit_text(output.status)),
    )
}

fn help_lists_gateway(ctx: &TestContext) -> CheckResult {
    let options = [
        "--cgi",
        "--fastcgi",
        "--spawn",
        "--wsgi",
        "--workers",
        "--env",
        "--app-timeout",
        "--max-content",
    ];
    ensure_help_lists(ctx, &options)
}

fn mount_errors(ctx: &TestContext) -> CheckResult {
    let script = add_script(ctx, TEXT)?;
    let name = ctx.site.name();
    let path = script.path.display();
    let mount = format!("/{name}={path}");
    let with_slash = format!("/{name}/={path}");
    let running = format!("/{name}=127.0.0.1:9");
    for (options, named) in [
        (vec!["--cgi", &format!("{name}={path}")], name.as_str()),
        (vec!["--cgi", &name], &name),
        (vec!["--fastcgi", &format!("{name}=127.0.0.1:9")], &name),
        (vec!["--cgi", &mount, "--cgi", &mount], &name),
        (vec!["--cgi", &mount, "--cgi", &with_slash], &name),
        (vec!["--fastcgi", &running, "--cgi", &mount], &name),
        (vec!["--env", &name], &name),
        (vec!["--workers", "none"], "--workers"),
        (vec!["--app-timeout", "soon"], "--app-timeout"),
        (vec!["--max-content", "much"], "--max-content"),
    ] {
        ensure_refused(ctx, &ctx.program, &options, named)?;
    }
    ensure_missing_programs_are_refused(ctx)
}

fn ensure_missing_programs_are_refused(ctx: &TestContext) -> CheckResult {
    let [missing, private] = [ctx.site.name(), ctx.site.name()];
    let file = ctx.site.add_outside(&private, "#!/bin/sh\n")?;
    let long = format!("unix:/{}", missing.repeat(20));
    for (option, value, named) in [
        ("--cgi", format!("/no/such/{missing}"), &missing),
        ("--cgi", file.display().to_string(), &private),
        ("--spawn", format!("/no/such/{missing} --option"), &missing),
        ("--spawn", missing.clone(), &missing),
        ("--spawn", file.display().to_string(), &private),
        ("--fastcgi", long.clone(), &missing),
        ("--fastcgi", format!("{missing}:port"), &missing),
    ] {
        ensure_refused(
            ctx,
            &ctx.program,
            &[option, &format!("/app={value}")],
            named,
        )?;
    }
    Ok(())
}

fn wsgi_import_error(ctx: &TestContext) -> CheckResult {
    require_python()?;
    let [missing, module, failing] = [ctx.site.name(), ctx.site.name(), ctx.site.name()];
    let path = ctx
        .site
        .add_outside(&format!("site/{module}.py"), "number = 5\n")?;
    let text = format!("import no_such_{failing}\n");
    ctx.site.add_outside(&format!("site/{failing}.py"), &text)?;
    let callable = format!("no_{missing}");
    let mut program = ctx.program.clone();
    program.folder = path.parent().map(Path::to_path_buf);
    for (application, named) in [
        (format!("{missing}:application"), &missing),
        (format!("{module}:{callable}"), &callable),
        (format!("{module}:number"), &module),
        (format!("{failing}:application"), &failing),
        (module.clone(), &module),
    ] {
        let mount = format!("/app={application}");
        ensure_refused(ctx, &program, &["--wsgi", &mount], named)?;
    }
    Ok(())
}

fn wsgi_needs_python(ctx: &TestContext) -> CheckResult {
    let path = format!("PATH={}", ctx.site.outside("missing").display());
    let program = ctx.program.started_by(&["/usr/bin/env", &path]);
    // A script may itself need what is in PATH. Then nothing can be told.
    if !program.run(&["--version"], EXIT_TIMEOUT)?.status.success() {
        return Ok(());
    }
    ensure_refused(
        ctx,
        &program,
        &["--wsgi", "/app=module:application"],
        "python3",
    )
}
