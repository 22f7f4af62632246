//! The relevant lines that `ab` and `hey` have really written.

use measure::speed::generator::{LoadReport, parse_ab, parse_hey};

/// 50 responses were truncated, and 71 had an error status.
const AB: &str = "\
Document Length:        4096 bytes

Time taken for tests:   0.060 seconds
Complete requests:      500
Failed requests:        50
   (Connect: 0, Receive: 0, Length: 50, Exceptions: 0)
Non-2xx responses:      71
";

const HEY: &str = "
Summary:
  Total:\t0.1250 secs
  Average:\t0.0019 secs
  Requests/sec:\t3968.6024
  Size/request:\t4096 bytes

Response time histogram:
  0.001 [80]\t|■■■■■■■■■■■■■■

Latency distribution:
  50% in 0.0017 secs
  99% in 0.0081 secs

Status code distribution:
  [200]\t426 responses
  [503]\t70 responses

Error distribution:
  [4]\tGet \"http://127.0.0.1:9999/\": dial tcp 127.0.0.1:9999: connect: connection refused
";

#[test]
fn ab_report_is_parsed() {
    let rows = (0..=100).map(|percent| format!("{percent},{}.5\n", percent * 2));
    let percentiles = format!("Percentage served,Time in ms\n{}", rows.collect::<String>());
    let report = parse_ab(AB, &percentiles, 4096);
    let expected = LoadReport {
        responses: 379,
        errors: 121,
        seconds: 0.06,
        mean: 100.5,
        p50: 100.5,
        p99: 198.5,
    };
    assert_eq!(report, Some(expected));
    // It compares all responses with the first. If that one is wrong, all are.
    let wrong = parse_ab(AB, &percentiles, 4095).unwrap();
    assert_eq!((wrong.responses, wrong.errors), (0, 500));
    assert_eq!(parse_ab(AB, "", 4096), None);
    let refused = "apr_socket_recv: Connection refused (111)";
    assert_eq!(parse_ab(refused, &percentiles, 4096), None);
}

#[test]
fn hey_report_is_parsed() {
    let report = parse_hey(HEY, 4096);
    let expected = LoadReport {
        responses: 426,
        errors: 74,
        seconds: 0.125,
        mean: 1.9,
        p50: 1.7,
        p99: 8.1,
    };
    assert_eq!(report, Some(expected));
    let wrong = parse_hey(HEY, 4095).unwrap();
    assert_eq!((wrong.responses, wrong.errors), (0, 500));
    let refused = "Average:\t NaN secs\nError distribution:\n  [48]\tGet ...: connection refused";
    assert_eq!(parse_hey(refused, 4096), None);
}
