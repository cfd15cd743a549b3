/* format.js - numbers as people read them.
 *
 * A quantity is a pair [number, unit], both text, so that the unit can be drawn smaller; joined()
 * makes one text of it. Three digits that count, never an exponent, and "-" for what is not known.
 * Events are counted by thousands (k, M, G), bytes by 1024 (KiB), as the configuration does.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
const UNKNOWN = "\u2013";
const THIN_SPACE = "\u202f";
const NO_BREAK_SPACE = "\u00a0";

function isNumber(value) {
    return typeof value === "number" && Number.isFinite(value);
}

/* Three digits that count: "1.23", "12.3", "123"; whole numbers stay whole below `whole`. */
function threeDigits(value) {
    const size = Math.abs(value);
    if (size < 9.995) {
        return value.toFixed(2);
    }
    return value.toFixed(size < 99.95 ? 1 : 0);
}

/* Scales `value` by steps of `base` until it has at most three digits before the point. */
function scaled(value, base, units) {
    let unit = 0;
    let rest = value;
    while (unit + 1 < units.length && Math.abs(rest) >= (base === 1000 ? 999.5 : 1023.5)) {
        rest /= base;
        unit += 1;
    }
    return [rest, units[unit]];
}

/* All digits in groups of three: "1 234 567". */
function digits(value) {
    if (!isNumber(value)) {
        return UNKNOWN;
    }
    return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, THIN_SPACE);
}

/* A number of things: exact below 10 000, then three digits with k, M, G, T, P, E. */
function count(value) {
    if (!isNumber(value)) {
        return [UNKNOWN, ""];
    }
    if (Math.abs(value) < 10000) {
        return [digits(value), ""];
    }
    const [rest, unit] = scaled(value, 1000, ["", "k", "M", "G", "T", "P", "E"]);
    return [threeDigits(rest), unit];
}

/* Things a second. */
function rate(value) {
    if (!isNumber(value)) {
        return [UNKNOWN, ""];
    }
    if (value === 0) {
        return ["0", "/s"];
    }
    if (value < 0.005) {
        return ["<" + NO_BREAK_SPACE + "0.01", "/s"];
    }
    const [rest, unit] = scaled(value, 1000, ["", "k", "M", "G", "T"]);
    const whole = unit === "" && Number.isInteger(value);
    return [whole ? String(value) : threeDigits(rest), unit + "/s"];
}

function bytes(value) {
    if (!isNumber(value)) {
        return [UNKNOWN, ""];
    }
    if (value < 1000) {
        return [String(Math.round(value)), "B"];
    }
    const [rest, unit] = scaled(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]);
    return [rest >= 999.5 ? rest.toFixed(0) : threeDigits(rest), unit];
}

function byteRate(value) {
    const [number, unit] = bytes(value);
    return [number, unit === "" ? "" : unit + "/s"];
}

/* A short time in nanoseconds: "850 ns", "12.3 us", "4.56 ms", "1.20 s"; from two minutes on as an
 * age. The sign for micro is the letter mu. */
function duration(ns) {
    if (!isNumber(ns)) {
        return [UNKNOWN, ""];
    }
    if (ns >= 120e9) {
        return [age(ns), ""];
    }
    const [rest, unit] = scaled(ns, 1000, ["ns", "\u03bcs", "ms", "s"]);
    return [unit === "ns" ? String(Math.round(rest)) : threeDigits(rest), unit];
}

/* How long something has lasted: the two largest units of "3 d 4 h", "2 h 13 min", "45 s". */
function age(ns) {
    if (!isNumber(ns)) {
        return UNKNOWN;
    }
    const seconds = Math.max(0, Math.floor(ns / 1e9));
    const parts = [[Math.floor(seconds / 86400), "d"], [Math.floor(seconds / 3600) % 24, "h"],
                   [Math.floor(seconds / 60) % 60, "min"], [seconds % 60, "s"]];
    const first = parts.findIndex(([number]) => number > 0);
    if (first < 0) {
        return "0" + NO_BREAK_SPACE + "s";
    }
    return parts.slice(first, first + 2).filter(([number], at) => at === 0 || number > 0)
        .map(([number, unit]) => number + NO_BREAK_SPACE + unit).join(" ");
}

/* A part of one: "12.3 %", "<0.1 %". */
function percent(part) {
    if (!isNumber(part)) {
        return [UNKNOWN, ""];
    }
    const value = part * 100;
    if (value > 0 && value < 0.05) {
        return ["<" + NO_BREAK_SPACE + "0.1", "%"];
    }
    return [value === 0 || value >= 99.95 ? value.toFixed(0) : value.toFixed(1), "%"];
}

function joined([number, unit]) {
    return unit === "" ? number : number + NO_BREAK_SPACE + unit;
}

function twoDigits(value) {
    return String(value).padStart(2, "0");
}

/* Local time of a Date or of milliseconds since 1970: "13:04:05". */
function clockTime(when) {
    const date = new Date(when);
    return `${twoDigits(date.getHours())}:${twoDigits(date.getMinutes())}:` +
        twoDigits(date.getSeconds());
}

/* "2026-11-26 13:04:05", local time. */
function dateTime(when) {
    const date = new Date(when);
    return `${date.getFullYear()}-${twoDigits(date.getMonth() + 1)}-${twoDigits(date.getDate())} ` +
        clockTime(date);
}

/* "1 topic", "2 topics", "10 000 topics". */
function plural(number, word, words = word + "s") {
    return `${digits(number)} ${number === 1 ? word : words}`;
}
