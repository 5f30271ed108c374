import "./app.css";
import { mount } from "svelte";
import App from "./App.svelte";
import { signInByLink } from "./lib/session.svelte.ts";

const trouble = await signInByLink();
mount(App, { target: document.getElementById("app")!, props: { trouble } });
