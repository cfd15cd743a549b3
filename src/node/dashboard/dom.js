/* dom.js - elements, made and changed without any text becoming markup.
 *
 * INVARIANTS (tests/dashboard/test_sources.py)
 *
 *   D1  what comes from the node becomes text nodes and the values of a few harmless attributes;
 *       nothing here or elsewhere gives a text to a parser of HTML or of scripts; characters that
 *       can't be seen are written out
 *   D2  an element that stays is changed in place, so that focus, selection and the place of a
 *       reader in it outlive an update
 *
 * SPDX-License-Identifier: Apache-2.0
 */
const SVG = "http://www.w3.org/2000/svg";
const ANNOUNCEMENTS_MAX = 3;

function find(id) {
    return document.getElementById(id);
}

/* Sets attributes by name; true: there without a value; null and false: not there. A function is
 * a listener: {onclick: () => ...}. */
function setAttributes(node, attributes) {
    for (const [name, value] of Object.entries(attributes)) {
        if (typeof value === "function") {
            node.addEventListener(name.slice(2), value);
        } else if (value === null || value === false) {
            node.removeAttribute(name);
        } else {
            const text = value === true ? "" : String(value);
            if (node.getAttribute(name) !== text) {
                node.setAttribute(name, text);
            }
        }
    }
    return node;
}

/* An element with its attributes and children: nodes, and texts. */
function make(tag, attributes = {}, ...children) {
    const node = setAttributes(document.createElement(tag), attributes);
    node.append(...children.filter((child) => child !== null));
    return node;
}

function makeSvg(tag, attributes = {}, ...children) {
    const node = setAttributes(document.createElementNS(SVG, tag), attributes);
    node.append(...children);
    return node;
}

/* Characters that can't be seen, or turn the direction of those behind them, written out: a name
 * that says "exe.png" by a trick shows "\u{202e}gnp.exe". */
function visible(text) {
    return String(text).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}]/gu, (one) =>
        `\\u{${one.codePointAt(0).toString(16)}}`);
}

function setText(node, text) {
    const shown = visible(text);
    if (node.textContent !== shown) {
        node.textContent = shown;
    }
}

/* A long name of parts, which may break behind each of them. */
function setName(node, text) {
    const shown = visible(text);
    if (node.textContent !== shown) {
        node.replaceChildren(...shown.split(/(?<=[._])/).flatMap((part, i) =>
            i === 0 ? [part] : [make("wbr"), part]));
    }
}

function setHidden(node, hidden) {
    if (node.hidden !== hidden) {
        node.hidden = hidden;
    }
}

/* Shows a quantity of format.js, its unit in an element of its own; `exact` is what a pointer that
 * rests on it is told. */
function setQuantity(node, [number, unit], exact = null) {
    if (node.childElementCount !== 1 || node.firstChild.nodeType !== Node.TEXT_NODE) {
        node.replaceChildren("", make("span", { class: "unit" }));
    }
    const text = unit === "" ? number : number + NO_BREAK_SPACE;
    if (node.firstChild.data !== text) {
        node.firstChild.data = text;
    }
    setText(node.lastChild, unit);
    setAttributes(node, { title: exact });
}

/* Makes the children of `parent` those of `items`, in their order: one that has its key already is
 * kept and told of its item, the others are made or removed. `make_one(item)` returns a node,
 * `change(node, item)` brings it up to date. */
function setChildren(parent, items, key_of, make_one, change) {
    const focused = parent.contains(document.activeElement) ? document.activeElement : null;
    const old = parent.keyed || new Map();
    const kept = new Map();
    let place = parent.firstChild;
    for (const item of items) {
        const key = key_of(item);
        let node = kept.has(key) ? undefined : old.get(key);
        if (node === undefined) {
            node = make_one(item);
        }
        old.delete(key);
        kept.set(key, node);
        change(node, item);
        if (node === place) {
            place = place.nextSibling;
        } else {
            parent.insertBefore(node, place);
        }
    }
    while (place !== null) {
        const next = place.nextSibling;
        place.remove();
        place = next;
    }
    parent.keyed = kept;
    if (focused !== null && focused !== document.activeElement && focused.isConnected) {
        focused.focus({ preventScroll: true }); // an element that moves loses it
    }
}

/* Says something to screen readers, once. Used for what a person has to know and did not ask for,
 * and for the result of a filter. What was said just before stays, so that it is read as well. */
function announce(text) {
    const announcer = find("announcer");
    announcer.append(make("p", {}, visible(text)));
    if (announcer.childElementCount > ANNOUNCEMENTS_MAX) {
        announcer.firstElementChild.remove();
    }
}
