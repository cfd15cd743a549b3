//! The clock, the histogram and the line of JSON, the same as in the C and Java peers.
//!
//! SPDX-License-Identifier: Apache-2.0

use crate::options::Options;
use std::time::Instant;

/// Nanoseconds, log-linear: exact below 512, then 256 buckets for each power of two (0.4 %).
pub struct Histogram {
    pub samples: u64,
    sum: u64,
    max: u64,
    counts: Vec<u64>,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { samples: 0, sum: 0, max: 0, counts: vec![0; 512 + 55 * 256] }
    }
}

impl Histogram {
    #[inline]
    pub fn record(&mut self, ns: u64) {
        self.samples += 1;
        self.sum += ns;
        self.max = self.max.max(ns);
        self.counts[Self::bucket(ns)] += 1;
    }

    #[inline]
    fn bucket(ns: u64) -> usize {
        if ns < 512 {
            return ns as usize;
        }
        let shift = 55 - ns.leading_zeros() as usize; // ns >> shift is in [256, 512)
        512 + (shift - 1) * 256 + ((ns >> shift) as usize - 256)
    }

    /// The largest value of a bucket: a percentile is never reported smaller than it was.
    fn value(bucket: usize) -> u64 {
        if bucket < 512 {
            return bucket as u64;
        }
        let shift = (bucket - 512) / 256 + 1;
        let mantissa = ((bucket - 512) % 256 + 256) as u64;
        ((mantissa + 1) << shift) - 1
    }

    fn percentile(&self, fraction: f64) -> u64 {
        let rank = (self.samples as f64 * fraction) as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen > rank {
                return Self::value(bucket).min(self.max);
            }
        }
        self.max
    }

    fn json(&self) -> String {
        format!(
            ",\"p50_ns\":{},\"p90_ns\":{},\"p99_ns\":{},\"p999_ns\":{},\"max_ns\":{},\
             \"mean_ns\":{:.1},\"samples\":{},\"timer_ns\":{:.1}",
            self.percentile(0.5),
            self.percentile(0.9),
            self.percentile(0.99),
            self.percentile(0.999),
            self.max,
            self.sum as f64 / self.samples as f64,
            self.samples,
            timer_cost_ns()
        )
    }
}

/// What one reading of the clock costs: every latency sample contains about one.
fn timer_cost_ns() -> f64 {
    const READINGS: u32 = 200_000;
    let from = Instant::now();
    let mut last = from;
    for _ in 0..READINGS {
        last = Instant::now();
    }
    (last - from).as_nanos() as f64 / f64::from(READINGS)
}

pub struct Outcome {
    pub events: u64,
    pub producers: usize,
    pub consumers: usize,
    pub seconds: f64,
    pub batches: u64,
    pub checksum_ok: bool,
    pub latency: Option<Histogram>,
}

impl Outcome {
    pub fn print(&self, options: &Options) {
        let average_batch = match self.batches {
            0 => String::new(),
            n => format!(
                ",\"average_batch\":{:.2}",
                self.events as f64 * self.consumers as f64 / n as f64
            ),
        };
        println!(
            "{{\"peer\":\"disruptor-rs\",\"variant\":\"{}\",\"scenario\":\"{}\",\"batch\":{},\
             \"event_bytes\":{},\"producers\":{},\"consumers\":{},\"events\":{},\
             \"seconds\":{:.6},\"events_per_second\":{:.0}{}{},\"checksum_ok\":{}}}",
            options.wait,
            options.scenario,
            options.batch,
            options.event_bytes,
            self.producers,
            self.consumers,
            self.events,
            self.seconds,
            self.events as f64 / self.seconds,
            average_batch,
            self.latency.as_ref().map_or(String::new(), Histogram::json),
            self.checksum_ok
        );
    }
}
