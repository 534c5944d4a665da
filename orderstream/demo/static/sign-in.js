/** The stand-in for a platform's login: choose who to be. */
import * as backend from "./backend.js";
import { h, say } from "./dom.js";

export function signInPage(users, signedIn, why = "") {
    const said = h("p.said", { role: "alert" }, why);
    async function choose(event) {
        const button = event.currentTarget;
        button.disabled = true;
        try {
            signedIn(await backend.signIn(button.value));
        } catch (refused) {
            say(said, refused.message);
            button.disabled = false;
        }
    }
    return h("main.sign-in",
        h("img", { src: "/page/icon.svg", alt: "", width: "64", height: "64" }),
        h("h1", "Your orders, as they happen"),
        h("p.hint", "Choose who to be. ann trades the most, zoe the least."),
        said,
        h("div.users", users.map((user) => h("button", { type: "button", value: user, onclick: choose },
            h("span.face", { "aria-hidden": "true" }, user[0].toUpperCase()), user))),
        h("p.hint", "A demo: no password, no money."));
}
