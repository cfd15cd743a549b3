/* history.js - what was seen, a sample a second, for the charts.
 *
 * A history is a list of times (milliseconds since 1970, of the node's clock) and as many values
 * of each line; null is a value that is not known. It begins when the page is opened and keeps an
 * hour.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
const HISTORY_SAMPLES_MAX = 3700;
const RATE_SECONDS_MIN = 0.2;
const GAP_MS = 3500; // between two samples: longer, and no line is drawn

class History {
    constructor(keys, samples_max = HISTORY_SAMPLES_MAX) {
        this.times = [];
        this.values = Object.fromEntries(keys.map((key) => [key, []]));
        this.samples_max = samples_max;
    }

    get length() {
        return this.times.length;
    }

    /* A sample that is not newer than the last one (a clock that was set back) begins anew. */
    add(time_ms, sample) {
        if (this.length > 0 && time_ms <= this.times[this.length - 1]) {
            this.clear();
        }
        this.times.push(time_ms);
        for (const [key, list] of Object.entries(this.values)) {
            list.push(isNumber(sample[key]) ? sample[key] : null);
        }
        if (this.length > this.samples_max + 100) { // not each time: moving a list costs
            this.times.splice(0, 100);
            Object.values(this.values).forEach((list) => list.splice(0, 100));
        }
    }

    clear() {
        this.times.length = 0;
        Object.values(this.values).forEach((list) => { list.length = 0; });
    }

    /* The index of the first sample at or after a time. */
    since(time_ms) {
        let low = 0;
        let high = this.length;
        while (low < high) {
            const middle = (low + high) >> 1;
            if (this.times[middle] < time_ms) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        return low;
    }
}

/* Rates out of counters that only grow: each call returns what `counters` grew by a second since
 * the last one, or null for the first, after a restart, and where the time between is too short for
 * a rate to mean anything. */
class Rates {
    constructor() {
        this.last = null;
    }

    next(time_ms, counters) {
        const before = this.last;
        const seconds = before === null ? 0 : (time_ms - before.time_ms) / 1000;
        if (before === null || seconds < 0 || seconds >= RATE_SECONDS_MIN) {
            this.last = { time_ms, counters };
        }
        return Object.fromEntries(Object.entries(counters).map(([key, value]) => {
            const grown = seconds >= RATE_SECONDS_MIN ? value - before.counters[key] : -1;
            return [key, grown >= 0 ? grown / seconds : null];
        }));
    }
}

/* Counters by name, and what each grew by within a window of time. */
class Growth {
    constructor(window_ms) {
        this.window_ms = window_ms;
        this.looks = []; // {time_ms, counters: Map}, oldest first; one of them before the window
    }

    add(time_ms, counters) {
        const last = this.looks[this.looks.length - 1];
        const restarted = last !== undefined &&
            [...counters].some(([name, value]) => value < (last.counters.get(name) || 0));
        if (restarted || (last !== undefined && time_ms <= last.time_ms)) {
            this.looks = [];
        }
        this.looks.push({ time_ms, counters });
        while (this.looks.length > 1 && this.looks[1].time_ms <= time_ms - this.window_ms) {
            this.looks.shift();
        }
    }

    /* Since the oldest look; a counter that was not there then was zero. */
    of(name) {
        if (this.looks.length === 0) {
            return 0;
        }
        const newest = this.looks[this.looks.length - 1];
        const oldest = this.looks[0];
        return (newest.counters.get(name) || 0) -
            (newest === oldest ? newest.counters.get(name) || 0 : oldest.counters.get(name) || 0);
    }
}
