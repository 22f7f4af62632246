//! What generators have really written, in health and in trouble.

use lab::measure::speed::generator::{Kind, Load, Order, Refusal, Said};
use libtest_mimic::Failed;
use std::net::SocketAddr;
use std::time::Duration;

/// What was asked for, of a page that long.
fn order(length: usize) -> Order<'static> {
    Order {
        address: SocketAddr::from(([127, 0, 0, 1], 1)),
        target: "/page.html",
        length,
        clients: 8,
        requests: 5000,
        time: Duration::from_secs(1),
        keep_alive: false,
    }
}

fn read(kind: Kind, output: &str, percentiles: &str, length: usize) -> Result<Load, Refusal> {
    let said = Said {
        output,
        percentiles,
    };
    kind.read(&said, &order(length))
}

/// The counts of a load: right answers, and errors.
fn counts(load: Result<Load, Refusal>) -> (u64, u64) {
    let load = load.unwrap();
    (load.answered, load.errors)
}

fn gave_up(load: Result<Load, Refusal>, words: &str) {
    let is_told = matches!(&load, Err(Refusal::GaveUp(told)) if told.contains(words));
    assert!(is_told, "{load:?} does not say: {words}");
}

pub fn ab() -> Result<(), Failed> {
    let healthy = include_str!("captured/ab-healthy.txt");
    let csv = include_str!("captured/ab-healthy.csv");
    let load = read(Kind::Ab, healthy, csv, 4096).unwrap();
    assert_eq!((load.answered, load.errors), (4793, 0));
    assert_eq!(load.seconds, 1.0);
    let row = |start: &str| -> f64 {
        let row = csv.lines().find_map(|line| line.strip_prefix(start));
        row.unwrap().parse().unwrap()
    };
    assert_eq!((load.p50, load.p99), (row("50,"), row("99,")));
    assert!(row("0,") < load.mean && load.mean < row("100,"));

    // A page of another length than it should have is wrong each time.
    assert_eq!(counts(read(Kind::Ab, healthy, csv, 4095)), (0, 4793));
    // Of 500, 50 were cut short, and 71 refused.
    let wrong = include_str!("captured/ab-wrong.txt");
    let csv = include_str!("captured/ab-wrong.csv");
    assert_eq!(counts(read(Kind::Ab, wrong, csv, 4096)), (379, 121));
    let missing = include_str!("captured/ab-not-found.txt");
    let csv = include_str!("captured/ab-not-found.csv");
    assert_eq!(counts(read(Kind::Ab, missing, csv, 14)), (0, 500));
    // The server was killed half way; some faults are counted twice, none is lost.
    let died = include_str!("captured/ab-died.txt");
    let csv = include_str!("captured/ab-died.csv");
    assert_eq!(counts(read(Kind::Ab, died, csv, 4096)), (5229 - 3799, 3799));

    let ports = include_str!("captured/ab-ports.txt");
    assert_eq!(read(Kind::Ab, ports, "", 4096), Err(Refusal::PortsUsedUp));
    let refused = include_str!("captured/ab-refused.txt");
    gave_up(
        read(Kind::Ab, refused, "", 4096),
        "Connection refused (111)",
    );
    gave_up(read(Kind::Ab, "", "", 4096), "it said nothing");
    // Without the file of percentiles there is no figure.
    gave_up(read(Kind::Ab, healthy, "", 4096), "Total:");
    Ok(())
}

pub fn hey() -> Result<(), Failed> {
    let healthy = include_str!("captured/hey-healthy.txt");
    let load = read(Kind::Hey, healthy, "", 4096).unwrap();
    assert_eq!((load.answered, load.errors), (496, 0));
    let near = |one: f64, other: f64| assert!((one - other).abs() < 1e-9, "{one} {other}");
    near(load.seconds, 0.1198);
    near(load.p50, 1.6);
    near(load.p99, 5.3);
    near(load.mean, 1.8);
    assert_eq!(counts(read(Kind::Hey, healthy, "", 4095)), (0, 496));
    let wrong = include_str!("captured/hey-wrong.txt");
    assert_eq!(counts(read(Kind::Hey, wrong, "", 4096)), (426, 70));
    let refused = include_str!("captured/hey-refused.txt");
    gave_up(read(Kind::Hey, refused, "", 4096), "connection refused");
    let ports = include_str!("captured/hey-ports.txt");
    assert_eq!(read(Kind::Hey, ports, "", 4096), Err(Refusal::PortsUsedUp));
    Ok(())
}
