/** Elements without HTML in text: what a user or a server wrote can only ever become text. */

/** `h("button.primary", { type: "button", onclick }, "Buy", …)`; null and false among the children are left out. */
export function h(name, ...rest) {
    const [tag, ...classes] = name.split(".");
    const element = document.createElement(tag);
    if (classes.length) element.className = classes.join(" ");
    const [first] = rest;
    if (first !== null && typeof first === "object" && !(first instanceof Node) && !Array.isArray(first)) {
        attributes(element, rest.shift());
    }
    element.append(...rest.flat().filter((child) => child !== null && child !== false && child !== undefined));
    return element;
}

function attributes(element, values) {
    for (const [name, value] of Object.entries(values)) {
        if (value === null || value === undefined || value === false) continue;
        if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
        else if (name in element && typeof value === "boolean") element[name] = value;
        else element.setAttribute(name, value === true ? "" : value);
    }
}

/** Sets the text only where it differs, so that nothing is drawn and nothing is read out again. */
export function say(element, text) {
    if (element.textContent !== text) element.textContent = text;
}
