//! disruptor-rs under the common protocol of bench/peers/README.md.
//!
//! Throughput uses its managed consumer threads; `pingpong` its event pollers, because a handler
//! cannot own the producer of the ring that (indirectly) feeds it. A Disruptor of this crate is
//! used once, so warm-up and measurement each build their own. The end of a run is the drop of the
//! producers: it waits until every consumer has handled everything.
//!
//! It has no strategy that blocks, so `oversubscribed` and `wakeup` are unsupported.
//!
//! SPDX-License-Identifier: Apache-2.0

mod options;
mod report;

use disruptor::{
    build_multi_producer, build_single_producer, BusySpin, BusySpinWithSpinLoopHint, Polling,
    Producer,
};
use options::{unsupported, Options};
use report::{Histogram, Outcome};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

const PACE: Duration = Duration::from_nanos(1_000);

struct Event {
    value: u64,
}

fn event() -> Event {
    Event { value: 0 }
}

/// What all consumers of one run leave behind.
#[derive(Default)]
struct Shared {
    ready: AtomicUsize,
    tallies: Mutex<Vec<(u64, u64)>>, // (sum, batches) of each consumer
    latency: Mutex<Option<Histogram>>,
}

/// A consumer's own state; hands its result over when its thread ends.
struct Tally {
    sum: u64,
    batches: u64,
    latency: Option<(Instant, Histogram)>,
    shared: Arc<Shared>,
}

impl Tally {
    /// Runs on the consumer's thread, and pins it there: the crate's own `pin_at_core` refuses a
    /// CPU that the building thread, already pinned, may not use.
    fn new(shared: &Arc<Shared>, cpu: Option<usize>, latency_epoch: Option<Instant>) -> Tally {
        pin(cpu);
        shared.ready.fetch_add(1, Ordering::AcqRel);
        Tally {
            sum: 0,
            batches: 0,
            latency: latency_epoch.map(|epoch| (epoch, Histogram::default())),
            shared: Arc::clone(shared),
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.shared.tallies.lock().unwrap().push((self.sum, self.batches));
        if let Some((_, histogram)) = self.latency.take() {
            *self.shared.latency.lock().unwrap() = Some(histogram);
        }
    }
}

#[inline]
fn handle(tally: &mut Tally, event: &Event, _sequence: i64, end_of_batch: bool) {
    tally.sum = tally.sum.wrapping_add(event.value);
    tally.batches += u64::from(end_of_batch);
}

#[inline]
fn handle_last_hop(tally: &mut Tally, event: &Event, _sequence: i64, _end_of_batch: bool) {
    tally.sum = tally.sum.wrapping_add(event.value);
    if let Some((epoch, histogram)) = &mut tally.latency {
        histogram.record((epoch.elapsed().as_nanos() as u64 - event.value) / 3);
    }
}

fn pin(cpu: Option<usize>) {
    if let Some(id) = cpu {
        if !core_affinity::set_for_current(core_affinity::CoreId { id }) {
            eprintln!("a thread cannot be pinned to its CPU: see --cpus");
            std::process::exit(1);
        }
    }
}

/// The sum of 1 .. n modulo 2^64.
fn expected_sum(n: u64) -> u64 {
    let n = u128::from(n);
    (n * (n + 1) / 2) as u64
}

fn await_ready(shared: &Shared, consumers: usize) {
    while shared.ready.load(Ordering::Acquire) < consumers {
        std::thread::yield_now();
    }
}

/// Publishes first .. first + count - 1, `batch` at a time.
#[inline]
fn publish_all<P: Producer<Event>>(producer: &mut P, first: u64, count: u64, batch: u64) {
    if batch == 1 {
        for value in first..first + count {
            producer.publish(|event| event.value = value);
        }
        return;
    }
    let mut value = first;
    while value < first + count {
        producer.batch_publish(batch as usize, |events| {
            for event in events {
                event.value = value;
                value += 1;
            }
        });
    }
}

fn outcome(shared: &Shared, events: u64, producers: usize, consumers: usize, from: Instant,
           expected: u64) -> Outcome {
    let seconds = from.elapsed().as_secs_f64();
    let tallies = shared.tallies.lock().unwrap();
    Outcome {
        events,
        producers,
        consumers,
        seconds,
        batches: tallies.iter().map(|tally| tally.1).sum(),
        checksum_ok: tallies.len() == consumers && tallies.iter().all(|tally| tally.0 == expected),
        latency: shared.latency.lock().unwrap().take(),
    }
}

/// One producer, on the calling thread, and `consumers` managed threads.
fn run_single<P: Producer<Event>>(mut producer: P, shared: Arc<Shared>, consumers: usize,
                                  events: u64, batch: u64) -> Outcome {
    await_ready(&shared, consumers);
    let from = Instant::now();
    publish_all(&mut producer, 1, events, batch);
    drop(producer);
    outcome(&shared, events, 1, consumers, from, expected_sum(events))
}

/// The same, one event each microsecond, each carrying the time since `epoch`.
fn run_paced<P: Producer<Event>>(mut producer: P, shared: Arc<Shared>, events: u64,
                                 epoch: Instant) -> Outcome {
    await_ready(&shared, 3);
    let from = Instant::now();
    let mut deadline = from;
    let mut sum = 0_u64;
    for _ in 0..events {
        deadline += PACE;
        while Instant::now() < deadline {
            std::hint::spin_loop();
        }
        producer.publish(|event| {
            event.value = epoch.elapsed().as_nanos() as u64;
            sum = sum.wrapping_add(event.value);
        });
    }
    drop(producer);
    outcome(&shared, events, 1, 3, from, sum)
}

/// Several producers, each on its own thread, and one consumer.
fn run_multi<P: Producer<Event> + Clone + Send>(producer: P, shared: Arc<Shared>, producers: usize,
                                                options: &Options, events: u64) -> Outcome {
    await_ready(&shared, 1);
    let share = events / producers as u64;
    let barrier = Barrier::new(producers);
    let started = Mutex::new(None::<Instant>);
    std::thread::scope(|scope| {
        for thread in 0..producers {
            let mut own = producer.clone();
            let (barrier, started) = (&barrier, &started);
            let (cpu, batch) = (options.cpu(thread), options.batch);
            scope.spawn(move || {
                pin(cpu);
                if barrier.wait().is_leader() {
                    *started.lock().unwrap() = Some(Instant::now());
                }
                publish_all(&mut own, thread as u64 * share + 1, share, batch);
            });
        }
        drop(producer);
    });
    let from = started.lock().unwrap().expect("one producer leads");
    outcome(&shared, events, producers, 1, from, expected_sum(events))
}

/// Adds a pinned consumer to a builder.
macro_rules! consumer {
    ($builder:expr, $options:expr, $shared:expr, $thread:expr, $handler:expr, $epoch:expr) => {{
        let shared = Arc::clone(&$shared);
        let epoch: Option<Instant> = $epoch;
        let cpu = $options.cpu($thread);
        $builder.handle_events_and_state_with($handler, move || Tally::new(&shared, cpu, epoch))
    }};
}

/// Every scenario with managed threads; a macro because the type of a builder spells its shape.
macro_rules! run_managed {
    ($options:expr, $events:expr, $wait:expr) => {{
        let (o, events): (&Options, u64) = ($options, $events);
        let s = Arc::new(Shared::default());
        let single = || build_single_producer(o.capacity, event, $wait);
        match o.scenario.as_str() {
            "1p1c" => {
                let b = consumer!(single(), o, s, 1, handle, None);
                run_single(b.build(), s, 1, events, o.batch)
            }
            "multicast" => {
                let b = consumer!(single(), o, s, 1, handle, None);
                let b = consumer!(b, o, s, 2, handle, None);
                let b = consumer!(b, o, s, 3, handle, None);
                run_single(b.build(), s, 3, events, o.batch)
            }
            "pipeline3" => {
                let b = consumer!(single(), o, s, 1, handle, None).and_then();
                let b = consumer!(b, o, s, 2, handle, None).and_then();
                let b = consumer!(b, o, s, 3, handle, None);
                run_single(b.build(), s, 3, events, o.batch)
            }
            "diamond" => {
                let b = consumer!(single(), o, s, 1, handle, None);
                let b = consumer!(b, o, s, 2, handle, None).and_then();
                let b = consumer!(b, o, s, 3, handle, None);
                run_single(b.build(), s, 3, events, o.batch)
            }
            "pipeline3-latency" => {
                let epoch = Instant::now();
                let b = consumer!(single(), o, s, 1, handle, None).and_then();
                let b = consumer!(b, o, s, 2, handle, None).and_then();
                let b = consumer!(b, o, s, 3, handle_last_hop, Some(epoch));
                run_paced(b.build(), s, events, epoch)
            }
            "2p1c" | "3p1c" => {
                let producers = if o.scenario == "2p1c" { 2 } else { 3 };
                let b = build_multi_producer(o.capacity, event, $wait);
                let b = consumer!(b, o, s, producers, handle, None);
                run_multi(b.build(), s, producers, o, events)
            }
            _ => unsupported(),
        }
    }};
}

/// Two rings, two threads, pollers on both sides; the time of each round trip.
macro_rules! run_pingpong {
    ($options:expr, $events:expr, $wait:expr, $relax:expr) => {{
        let (o, events): (&Options, u64) = ($options, $events);
        let (mut pings, builder) =
            build_single_producer(o.capacity, event, $wait).new_event_poller();
        let mut ping = builder.build();
        let (mut pongs, builder) =
            build_single_producer(o.capacity, event, $wait).new_event_poller();
        let mut pong = builder.build();
        let cpu = o.cpu(1);
        let ponger = std::thread::spawn(move || {
            pin(cpu);
            loop {
                match pings.poll() {
                    Ok(mut events) => {
                        for event in &mut events {
                            let value = event.value;
                            pong.publish(|event| event.value = value);
                        }
                    }
                    Err(Polling::NoEvents) => $relax,
                    Err(Polling::Shutdown) => break,
                }
            }
        });
        let mut histogram = Histogram::default();
        let mut sum = 0_u64;
        let mut run_from = Instant::now();
        for value in 0..=events {
            let from = Instant::now();
            ping.publish(|event| event.value = value);
            loop {
                if let Ok(mut events) = pongs.poll() {
                    for event in &mut events {
                        sum = sum.wrapping_add(event.value);
                    }
                    break;
                }
                $relax
            }
            if value == 0 {
                run_from = Instant::now(); // the other thread runs: start to measure
            } else {
                histogram.record(from.elapsed().as_nanos() as u64);
            }
        }
        let seconds = run_from.elapsed().as_secs_f64();
        drop(ping);
        ponger.join().expect("the other thread ends");
        Outcome {
            events,
            producers: 1,
            consumers: 1,
            seconds,
            batches: 0,
            checksum_ok: sum == expected_sum(events),
            latency: Some(histogram),
        }
    }};
}

fn run(options: &Options, events: u64) -> Outcome {
    let unit = options.batch * 6; // a whole number of batches for 1, 2 and 3 producers
    let events = events.div_ceil(unit) * unit;
    match (options.scenario.as_str(), options.wait.as_str()) {
        ("pingpong", "busy-spin") => run_pingpong!(options, events, BusySpin, {}),
        ("pingpong", "busy-spin-hint") => {
            run_pingpong!(options, events, BusySpinWithSpinLoopHint, std::hint::spin_loop())
        }
        (_, "busy-spin") => run_managed!(options, events, BusySpin),
        (_, "busy-spin-hint") => run_managed!(options, events, BusySpinWithSpinLoopHint),
        _ => unsupported(),
    }
}

fn main() {
    let options = Options::parse();
    pin(options.cpu(0));
    if options.warmup != 0 && !run(&options, options.warmup).checksum_ok {
        eprintln!("the checksum of the warm-up is wrong");
        std::process::exit(1);
    }
    let outcome = run(&options, options.events);
    outcome.print(&options);
    std::process::exit(i32::from(!outcome.checksum_ok));
}
