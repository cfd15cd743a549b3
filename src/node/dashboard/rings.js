/* rings.js - the rings in front of the shards, and the loops that serve them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
function makeRings(model) {
    const rates = new Rates();
    let answer = null;
    const ring_body = make("tbody");
    const loop_body = make("tbody");
    const right = { scope: "col", class: "right" };
    const right_1 = { scope: "col", class: "right wide-1" };
    const rings = make("table", {}, make("caption", { class: "hidden" }, "Rings"),
        make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Ring"),
            make("th", { scope: "col", class: "wide-1" }, "Loop"),
            make("th", { scope: "col", class: "use" }, "In use"), make("th", right_1, "Slots"),
            make("th", { ...right_1, title: "The most since this page was opened" }, "Most"),
            make("th", right_1, "Slots/s"),
            make("th", { ...right_1, title: "How often a publisher waited for room" }, "Waits"),
            make("th", { ...right_1, title: "And how long, all together" }, "Waited"),
            make("th", { ...right_1, title: "Publications refused because the ring was full" },
                "Refused"),
            make("th", { ...right_1 }, "Publishers"),
            make("th", { scope: "col", class: "behind-number" }, "Lag per consumer"))), ring_body);
    const loops = make("table", {}, make("caption", { class: "hidden" }, "Loops"),
        make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Loop"),
            make("th", { scope: "col", class: "use" }, "Busy"), make("th", right, "Turns/s"),
            make("th", right_1, "Sleeps/s"), make("th", right_1, "Woken/s"),
            make("th", { ...right, title: "Of the last second" }, "Longest turn"))), loop_body);
    const scroller = (name, table) => make("div", { class: "scroller", tabindex: 0, role: "region",
        "aria-label": name }, table);
    const element = make("section", { class: "view", "aria-labelledby": "rings-view-title" },
        viewHead("rings-view-title", "Rings"),
        make("div", { class: "grid" }, panel("span-12", makePanel("ring-list", "Rings", null,
            make("p", { class: "muted note" }, "One ring in front of each shard, in slots of 64 " +
                "bytes; an event takes one or more. What finds a ring empty may go past it."),
            scroller("Rings", rings))), panel("span-12", makePanel("loop-list", "Loops", null,
            make("p", { class: "muted note" }, "Threads that serve shards and connections."),
            scroller("Loops", loops)))));

    function cells(...classes) {
        return make("tr", {}, ...classes.map((name, i) => i === 0
            ? make("th", { scope: "row", class: name }) : make("td", { class: name })));
    }

    function useCell(td, part) {
        if (td.childElementCount === 0) {
            td.bar = makeBar();
            td.append(make("span", { class: "use-box" }, td.bar.element,
                make("span", { class: "number" })));
        }
        td.bar.set(part);
        setQuantity(td.firstChild.lastChild, percent(part));
    }

    function showRing(row, ring, grown) {
        const at = row.children;
        setText(at[0], ring.name);
        setText(at[1], answer.loops[ring.loop] === undefined ? String(ring.loop)
            : answer.loops[ring.loop].name);
        useCell(at[2], ring.used_slots / ring.capacity_slots);
        setText(at[3], `${joined(count(ring.used_slots))} of ` +
            joined(count(ring.capacity_slots)));
        const peak = Math.max(ring.used_slots, model.rings_peak.get(ring.name) || 0);
        setQuantity(at[4], count(peak), digits(peak));
        setQuantity(at[5], rate(grown[`ring ${ring.name}`]));
        countCell("claim_waits")(at[6], ring);
        quantityCell("claim_wait_ns", duration)(at[7], ring);
        countCell("refusals", true)(at[8], ring);
        countCell("producers")(at[9], ring);
        setChildren(at[10], ring.consumers, (one) => one.name, () => make("div", { class: "pair" },
            make("span"), make("span", { class: "number" })), (pair, one) => {
            setText(pair.firstChild, one.name);
            setQuantity(pair.lastChild, count(one.lag_slots), `${digits(one.lag_slots)} slots`);
        });
    }

    function showLoop(row, loop, grown) {
        const at = row.children;
        setText(at[0], loop.name);
        useCell(at[1], loop.busy_ratio);
        setQuantity(at[2], rate(grown[`turns ${loop.name}`]));
        setQuantity(at[3], rate(grown[`sleeps ${loop.name}`]));
        setQuantity(at[4], rate(grown[`bells ${loop.name}`]));
        setQuantity(at[5], duration(loop.turn_max_ns));
    }

    return {
        element,
        title: "Rings",
        async refresh() {
            answer = await ask(API + "rings");
            const grown = rates.next(Date.now(), Object.fromEntries([
                ...answer.rings.map((ring) => [`ring ${ring.name}`, ring.published_slots]),
                ...answer.loops.flatMap((loop) => ["turns", "sleeps", "bells"].map((key) =>
                    [`${key} ${loop.name}`, loop[key]])),
            ]));
            setChildren(ring_body, answer.rings, (ring) => ring.name, () => cells("", "wide-1",
                "use", ...Array(7).fill("right wide-1"), "behind-number"),
            (row, ring) => showRing(row, ring, grown));
            setChildren(loop_body, answer.loops, (loop) => loop.name, () => cells("", "use",
                "right", "right wide-1", "right wide-1", "right"),
            (row, loop) => showLoop(row, loop, grown));
        },
        draw() {},
    };
}
