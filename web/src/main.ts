import "./app.css";
import { mount } from "svelte";
import App from "./App.svelte";
import { brought, signInByLink } from "./lib/session.svelte.ts";

// a link that signs in, opened where the page is already
addEventListener("hashchange", () => brought(location.hash) && location.reload());

const trouble = await signInByLink();
mount(App, { target: document.getElementById("app")!, props: { trouble } });
