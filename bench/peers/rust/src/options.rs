//! The arguments of the common protocol (bench/peers/README.md).
//!
//! SPDX-License-Identifier: Apache-2.0

use std::process::exit;

pub const EXIT_USAGE: i32 = 2;
pub const EXIT_UNSUPPORTED: i32 = 3;

#[derive(Clone)]
pub struct Options {
    pub scenario: String,
    pub wait: String,
    pub events: u64,
    pub warmup: u64,
    pub batch: u64,
    pub event_bytes: u64,
    pub capacity: usize,
    pub cpus: Vec<usize>,
}

impl Options {
    pub fn parse() -> Options {
        let mut options = Options {
            scenario: "1p1c".into(),
            wait: "busy-spin".into(),
            events: 1_000_000,
            warmup: 100_000,
            batch: 1,
            event_bytes: 8,
            capacity: 65_536,
            cpus: vec![],
        };
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        for pair in arguments.chunks(2) {
            let [name, value] = pair else {
                usage(&format!("{} needs a value", pair[0]));
            };
            match name.as_str() {
                "--scenario" => options.scenario = value.clone(),
                "--wait" => options.wait = value.clone(),
                "--events" => options.events = number(name, value),
                "--warmup" => options.warmup = number(name, value),
                "--batch" => options.batch = number(name, value).max(1),
                "--event-bytes" => options.event_bytes = number(name, value),
                "--capacity" => options.capacity = number(name, value) as usize,
                "--cpus" => {
                    options.cpus = value.split(',').map(|cpu| number(name, cpu) as usize).collect()
                }
                "--producers" => {}
                _ => usage(&format!("{name} is not an option of this program")),
            }
        }
        if options.event_bytes != 8 || !options.capacity.is_power_of_two() {
            unsupported();
        }
        options
    }

    /// The CPU of the n-th thread, or None when threads are not pinned.
    pub fn cpu(&self, thread: usize) -> Option<usize> {
        (!self.cpus.is_empty()).then(|| self.cpus[thread % self.cpus.len()])
    }
}

pub fn unsupported() -> ! {
    println!("{{\"unsupported\":true}}");
    exit(EXIT_UNSUPPORTED)
}

fn number(name: &str, text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| usage(&format!("{name} is {text}, must be a number")))
}

fn usage(sentence: &str) -> ! {
    eprintln!("{sentence}");
    exit(EXIT_USAGE)
}
