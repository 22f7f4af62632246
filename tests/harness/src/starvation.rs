//! Whether this process got the processor time that it needed. On a busy machine a correct server
//! looks slow, and the harness can't tell from outside who kept it waiting. But it knows how late
//! its own timers run.

use std::collections::VecDeque;
use std::sync::{Mutex, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The interval of the timer.
const TICK: Duration = Duration::from_millis(10);

/// How much of the time may be lost to late timers: more is starvation. A suite that runs by itself
/// on two processors loses 6 %, next to eight busy loops 15 %, under a quota of a tenth of a
/// processor 90 %.
const LOST_LIMIT: f64 = 0.1;

/// At least this much time before a verdict is looked at. In a shorter period, a busy machine can look
/// idle by chance.
const SHORTEST_PERIOD: Duration = Duration::from_secs(2);

/// How late a single tick may be.
const LATE_LIMIT: Duration = Duration::from_millis(50);

/// How many ticks are remembered: about five minutes.
const MAX_TICKS: usize = 30_000;

/// The end of each tick, and how late it was.
static TICKS: Mutex<VecDeque<(Instant, Duration)>> = Mutex::new(VecDeque::new());

/// Observes a period of time.
pub struct Watch {
    start: Instant,
}

impl Watch {
    /// Starts to observe. The timer runs from the first call on.
    pub fn start() -> Watch {
        static TIMER: Once = Once::new();
        TIMER.call_once(|| {
            thread::spawn(run_timer);
        });
        Watch {
            start: Instant::now(),
        }
    }

    /// Whether the process was starved since the start.
    pub fn was_starved(&self) -> bool {
        let ticks = TICKS.lock().unwrap_or_else(PoisonError::into_inner);
        let period = self.start.elapsed().max(SHORTEST_PERIOD);
        let recent = ticks.iter().rev();
        let recent = recent.take_while(|(end, _)| end.elapsed() < period);
        let (mut lost, mut observed, mut worst) = (Duration::ZERO, TICK, Duration::ZERO);
        for (_, late) in recent {
            lost += *late;
            observed += TICK + *late;
            worst = worst.max(*late);
        }
        // A tick that is overdue counts as well.
        let last = ticks.back().map_or(self.start, |(end, _)| *end);
        let overdue = last.max(self.start).elapsed().saturating_sub(TICK);
        worst.max(overdue) > LATE_LIMIT || lost > observed.mul_f64(LOST_LIMIT)
    }
}

/// How long to look for what a correct server never does. On a busy machine, a wrong server does it
/// later.
pub fn watch_time(limit: Duration) -> Duration {
    if Watch::start().was_starved() {
        limit * 10
    } else {
        limit
    }
}

fn run_timer() {
    loop {
        let start = Instant::now();
        thread::sleep(TICK);
        let late = start.elapsed().saturating_sub(TICK);
        let mut ticks = TICKS.lock().unwrap_or_else(PoisonError::into_inner);
        ticks.push_back((Instant::now(), late));
        if ticks.len() > MAX_TICKS {
            ticks.pop_front();
        }
    }
}
